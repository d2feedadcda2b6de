"""Password resets: send a link by mail, and set a new password with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from dragoman.actions.directory import Directory
from dragoman.actions.steps import guess_limits, mailed_links, mails, passwords
from dragoman.actions.steps.mailed_links import PASSWORD, RESET
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Inactive, Invalid, InvalidLink, NotFound, Problem, RateLimited
from dragoman.rules.model import HOUR, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, one_time_secrets
from dragoman.store import users as user_store
from dragoman.store.transaction import Tx

MIN_DURATION_S = 0.03
"""Minimum duration of a request: hides the microseconds by which equal work still differs."""


async def request_reset(
    directory: Directory, visitor: Actor, email: str, kind: str = RESET
) -> None:
    """Send a reset link to the active user with this e-mail address, if there is one.

    The caller cannot tell whether a mail is sent: requests for unknown addresses and those beyond
    the limit of mails to one address are ignored, after the same work and time.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        email: the address as entered.
        kind: RESET, or PASSWORD for a link to the directory's own page.

    Raises:
        Invalid: ``email`` is not a valid e-mail address.
        Unavailable: the database cannot serve.
    """
    if problems := fields.email_problems(email):
        raise Invalid(*problems)
    clock = asyncio.get_running_loop().time
    answers_at = clock() + MIN_DURATION_S
    await _request(directory, visitor, email, kind)
    await asyncio.sleep(max(0.0, answers_at - clock()))


async def _request(directory: Directory, visitor: Actor, email: str, kind: str) -> None:
    candidate = await user_store.find_by_login_name(directory.read(visitor), email)
    async with directory.begin(visitor) as tx:
        user = await mailed_links.lock_email_owner(tx, candidate, email)
        if await mails.reserve(tx, email):
            return
        if user is None or not user.active:
            await mailed_links.do_the_same_work(tx, email)
            return
        await mailed_links.send_password_link(tx, user, kind, tx.settings.reset_hours * HOUR)
        audit.write(
            tx, AuditAction.REQUEST_PASSWORD_RESET, target_id=user.id, tenant_id=user.tenant_id
        )


async def send_link(tx: Tx, user_id: int) -> User:
    """Mail a user the link to a page where it sets its password; return the user.

    Raises:
        NotFound, Forbidden: the policy refuses.
        Invalid: the user has no e-mail address.
        Inactive: the user is inactive.
        RateLimited: too many mails were sent to the address.
    """
    policy.require_reach(tx.actor, Action.SET_PASSWORD)
    user = await user_store.get(tx, user_id)
    policy.require(tx.actor, Action.SET_PASSWORD, user)
    if not user.active:
        raise Inactive
    if not user.email:
        raise Invalid(Problem("email", "required"))
    if retry_after := await mails.reserve(tx, user.email):
        raise RateLimited(retry_after)
    await mailed_links.send_password_link(tx, user, PASSWORD, mailed_links.LIFETIME)
    audit.write(tx, AuditAction.SEND_LINK, target_id=user.id, tenant_id=user.tenant_id)
    return user


async def get_link_owner(directory: Directory, visitor: Actor, public_id: str, secret: str) -> User:
    """Return the user whose password a reset link can set; the link stays valid.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        public_id: the user's public id, from the link.
        secret: the one-time secret, from the link.

    Raises:
        InvalidLink: ``uid`` if the user is unknown or inactive; ``token`` if the secret is used,
            void, expired or wrong.
    """
    if not (public_id.isascii() and public_id.isprintable()):
        raise InvalidLink("uid")  # PostgreSQL rejects NUL and lone surrogates
    read = directory.read(visitor)
    is_well_formed = public_id.isascii() and public_id.isalnum()
    user = await user_store.find_by_public_id(read, public_id) if is_well_formed else None
    if user is None or not user.active:
        raise InvalidLink("uid")
    row = await one_time_secrets.find(read, user.id, RESET)
    mailed_links.ensure_opens(directory, row, user, secret, read.now)
    return user


async def reset_password(
    directory: Directory,
    visitor: Actor,
    public_id: str,
    secret: str,
    password: str,
    rules: PasswordRules,
    *,
    problems: Iterable[Problem] = (),
) -> User:
    """Set a new password with a reset link, use the link up and revoke all sessions.

    This proves the user's e-mail address: the account belongs to whoever reads its mails.
    The account is unlocked, and the caller's address may sign in from now on.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        public_id: the user's public id, from the link.
        secret: the one-time secret, from the link.
        password: the new password in plain text.
        rules: the contract's password rules.
        problems: what the dialect found wrong with the request; reported instead of the
            password's own problems.

    Raises:
        InvalidLink: as for ``get_link_owner``; checked before anything else.
        Invalid: every problem that was found.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    user = await get_link_owner(directory, visitor, public_id, secret)
    all_problems = list(problems) or passwords.password_problems(directory, password, rules, user)
    if all_problems:
        raise Invalid(*all_problems)
    hashed = await passwords.hash_password(directory, password, user)
    async with directory.begin(visitor) as tx:
        try:
            user = await user_store.get(tx, user.id)
        except NotFound:
            raise InvalidLink("uid") from None
        row = await one_time_secrets.find(tx, user.id, RESET, for_update=True)
        mailed_links.ensure_opens(directory, row, user, secret, tx.now)
        if not user.verified:
            await user_store.save(tx, user, {"verified": True})
        await passwords.store_password(tx, user, hashed, AuditAction.COMPLETE_PASSWORD_RESET)
        await guess_limits.unlock(tx, user)
        guess_limits.SignInAttempt(directory, visitor, user.username, user).record_success(tx)
    return user
