"""Password resets: send a link by mail, and set a new password with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeGuard

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import guess_limits, passwords
from dragoman.rules import crypto, fields
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, InvalidLink, NotFound, Problem
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, one_time_secrets, outbox
from dragoman.store import users as user_store
from dragoman.store.transaction import Tx

RESET = "reset"
"""The kind of the mail, and the purpose of the one-time secret."""
MAX_RESETS_PER_HOUR = 5
"""Maximum number of reset mails per account and hour."""
MIN_DURATION_S = 0.03
"""Minimum duration of a request: hides the microseconds by which equal work still differs."""
NOBODY = 0
"""An id that no user has."""


async def request_reset(directory: Directory, visitor: Actor, email: str) -> None:
    """Send a reset link to the active user with this e-mail address, if there is one.

    The caller cannot tell whether a mail is sent: requests for unknown addresses and those beyond
    ``MAX_RESETS_PER_HOUR`` are ignored, after the same work and time. Raises Invalid if ``email`` is not a valid e-mail address.
    """
    if problems := fields.email_problems(email):
        raise Invalid(*problems)
    clock = asyncio.get_running_loop().time
    answers_at = clock() + MIN_DURATION_S
    await _request(directory, visitor, email)
    await asyncio.sleep(max(0.0, answers_at - clock()))


async def _request(directory: Directory, visitor: Actor, email: str) -> None:
    read = directory.read(visitor)
    candidate = await user_store.find_by_login_name(read, email)
    account = f"reset:{guess_limits.account_key(directory, email, candidate)}"
    async with directory.begin(visitor) as tx:
        user = await _lock_email_owner(tx, candidate, email)
        previous_requests = await guess_limits.increment(tx, account, "", HOUR)
        if previous_requests >= MAX_RESETS_PER_HOUR:
            return
        if user is not None and user.active:
            await _enqueue_mail(tx, directory, user)
        else:
            await _do_the_same_work(tx, account)


async def _enqueue_mail(tx: Tx, directory: Directory, user: User) -> None:
    row = await one_time_secrets.issue(
        tx,
        user_id=user.id,
        user_epoch=user.auth_epoch,
        purpose=RESET,
        expires_at=tx.now + directory.settings.reset_hours * HOUR,
    )
    payload = msgspec.json.encode({"generation": row.generation}).decode()
    await outbox.remove_for_user(tx, user.id)
    await outbox.insert(tx, RESET, user_id=user.id, recipient=user.email, payload=payload)
    audit.write(tx, AuditAction.REQUEST_PASSWORD_RESET, target_id=user.id, tenant_id=user.tenant_id)


async def _do_the_same_work(tx: Tx, account: str) -> None:
    """Run as many statements, and write as many rows, as ``_enqueue_mail``, so that it takes as long.

    The rows are counters that nobody reads, which are deleted within the hour.
    """
    await guess_limits.count_unread(tx, account, "one-time secret")
    await guess_limits.remove_unread(tx, account, "mail")
    await guess_limits.count_unread(tx, account, "mail")
    await guess_limits.count_unread(tx, account, "history")


async def _lock_email_owner(tx: Tx, candidate: User | None, email: str) -> User | None:
    """Return the user, its row locked, if ``email`` is its e-mail address (not its username).

    Looks for a row even if there is no candidate, so that the work is the same.
    """
    try:
        user = await user_store.get(tx, candidate.id if candidate else NOBODY)
    except NotFound:
        return None
    return user if canonical(user.email) == canonical(email.strip()) else None


def reset_secret(directory: Directory, row: one_time_secrets.OneTimeSecret) -> str:
    """Return the secret of a reset link; it is derived from the server's key and never stored."""
    return crypto.derive(directory.server_key, RESET, row.id, row.user_id, row.generation)


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
    _ensure_link_valid(directory, row, user, secret, read.now)
    return user


def is_open(
    row: one_time_secrets.OneTimeSecret | None, user: User, now: int
) -> TypeGuard[one_time_secrets.OneTimeSecret]:
    """Return whether a reset link is valid: not used, void or expired, its user unchanged.

    Args:
        row: the user's current one-time secret, if any.
        user: the link's user.
        now: the time in microseconds since 1970.
    """
    return (
        row is not None
        and not row.used_at
        and user.active
        and row.user_epoch == user.auth_epoch
        and now < row.expires_at
    )


def _ensure_link_valid(
    directory: Directory,
    row: one_time_secrets.OneTimeSecret | None,
    user: User,
    secret: str,
    now: int,
) -> None:
    if not is_open(row, user, now) or not crypto.equal_in_constant_time(
        reset_secret(directory, row), secret
    ):
        raise InvalidLink("token")


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
        _ensure_link_valid(directory, row, user, secret, tx.now)
        await passwords.store_password(tx, user, hashed, AuditAction.COMPLETE_PASSWORD_RESET)
        await guess_limits.unlock(tx, user)
        guess_limits.SignInAttempt(directory, visitor, user.username, user).record_success(tx)
    return user
