"""Sign-up, sign-in, and changing one's own password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.actions.metrics import counted_sign_in
from dragoman.actions.steps import create_user, guess_limits, mailed_links, passwords
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.actions.steps.sign_in_log import log_sign_in
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, CredentialFormat
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Reason,
    Unauthenticated,
    Unavailable,
)
from dragoman.rules.fields import UsernameCharset, canonical
from dragoman.rules.model import NewUser, Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules, length_step, needs_rehash
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, tenants, tokens
from dragoman.store import users as user_store
from dragoman.store.transaction import Tx
from dragoman.store.user_lists import counters


def ensure_sign_up_allowed(directory: Directory) -> None:
    """Raise Forbidden(SIGN_UP_DISABLED) if self-registration is off; call it before any other check."""
    if not directory.settings.self_registration:
        raise Forbidden(Reason.SIGN_UP_DISABLED)


async def sign_up(
    directory: Directory,
    visitor: Actor,
    new: NewUser,
    password: str,
    rules: PasswordRules,
    credential_format: CredentialFormat | None,
    *,
    charset: UsernameCharset = UsernameCharset.STRICT,
    first_becomes_owner: bool = False,
    problems: Iterable[Problem] = (),
) -> tuple[User, Credential]:
    """Register a user as a member of the default tenant; return it and a first credential.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        new: the new user; its role, tenant and active state are set here.
        password: the password in plain text.
        rules: the contract's password rules.
        credential_format: the format of the first credential; if None, that one is empty, as it
            is if the settings require the e-mail address to be proven first.
        charset: the characters that the contract allows in a username.
        first_becomes_owner: make the user the owner of a tenant that has never had any user.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden: SIGN_UP_DISABLED by the settings or the tenant's deactivation.
        Invalid: every problem that was found.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    ensure_sign_up_allowed(directory)
    home = await tenants.find_by_slug(directory.read(visitor), directory.settings.tenant)
    if home is None or not home.active:
        raise Forbidden(Reason.SIGN_UP_DISABLED)
    new.role, new.tenant_id, new.active = Role.MEMBER, home.id, True
    all_problems = list(problems)
    needs_proof = directory.settings.verify_email == "required"
    if needs_proof and not (new.email.strip() or fields.reads_as_email(new.username)):
        all_problems.append(Problem("email", "required"))
    prepared = await create_user.prepare(
        directory, visitor, new, password, rules,
        charset=charset, problems=all_problems, signed_up=True,
    )  # fmt: skip
    async with directory.begin(visitor) as tx:
        if await _enter_tenant(tx, home.id, first_becomes_owner=first_becomes_owner):
            prepared.new.role = Role.OWNER
        approved = (
            prepared.new.role is Role.OWNER or directory.settings.sign_up_reach == "everywhere"
        )
        user = await create_user.insert(
            tx, prepared, AuditAction.SIGN_UP, signed_up=True, approved=approved
        )
        await mailed_links.send_verification(tx, user)
        if credential_format is None or needs_proof:
            return user, Credential("", 0)
        credential = await mint(tx, directory, user, credential_format)
        user_store.record_sign_in(tx, user.id)
        guess_limits.SignInAttempt(directory, visitor, user.username, user).record_success(tx)
    log_sign_in(visitor, user, "sign-up")
    return user, credential


async def _enter_tenant(tx: Tx, tenant_id: int, *, first_becomes_owner: bool) -> bool:
    """Lock the default tenant, and return whether the user who signs up becomes its owner.

    Raises Forbidden(SIGN_UP_DISABLED) if it was deactivated while the password was hashed.
    """
    tenant = await tenants.get(tx, tenant_id, lock="update" if first_becomes_owner else "share")
    if not tenant.active:
        raise Forbidden(Reason.SIGN_UP_DISABLED)
    if not first_becomes_owner or await counters.had_users(tx, tenant_id):
        return False
    return await tenants.mark_owned(tx, tenant_id)


async def sign_in(
    directory: Directory,
    visitor: Actor,
    login_name: str,
    password: str,
    credential_format: CredentialFormat,
    *,
    by_email: bool = False,
) -> tuple[User, Credential]:
    """Sign in by username or e-mail address; return the user and a credential.

    Args:
        directory: the application's shared state.
        visitor: the anonymous caller.
        login_name: the username or e-mail address.
        password: the password in plain text.
        credential_format: the format of the contract's credentials.
        by_email: accept the e-mail address only.

    Raises:
        BadCredentials: wrong name or password, or inactive; always after one verification.
        RateLimited: too many failures on this account.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    with counted_sign_in(directory.metrics):
        user, credential, encoded = await _sign_in(
            directory, visitor, login_name, password, credential_format, by_email=by_email
        )
    with contextlib.suppress(Unavailable):
        await _rehash(directory, visitor, user.id, password, encoded)
    return user, credential


async def _sign_in(
    directory: Directory,
    visitor: Actor,
    login_name: str,
    password: str,
    credential_format: CredentialFormat,
    *,
    by_email: bool,
) -> tuple[User, Credential, str]:
    """Return the user, a credential, and the hash that the password matches."""
    directory.password_hasher.load_shedder.check()
    read = directory.read(visitor)
    user, encoded = await user_store.find_with_hash(read, login_name) or (None, "")
    if user and by_email and canonical(user.email) != canonical(login_name.strip()):
        user, encoded = None, ""
    attempt = guess_limits.SignInAttempt(directory, visitor, login_name, user)
    await attempt.ensure_allowed(read)
    matches = await directory.password_hasher.verify(password, encoded)
    credential: Credential | None = None
    async with directory.begin(visitor, lock=attempt.lock) as tx:
        await attempt.ensure_allowed(tx)
        current_user = await _lock_unchanged_user(tx, user, encoded) if user and matches else None
        if current_user is not None and _lacks_proof(tx, current_user):
            await mailed_links.send_verification(tx, current_user)
            current_user = None
        if current_user is None:
            await attempt.record_failure(tx)
        else:
            attempt.record_success(tx)
            is_unknown = current_user.strong_password is None
            strong = passwords.is_strong(password, current_user) if is_unknown else None
            reaches = length_step(password)
            user_store.record_sign_in(tx, current_user.id, strong_password=strong, reaches=reaches)
            credential = await mint(tx, directory, current_user, credential_format)
            audit.write(
                tx, AuditAction.SIGN_IN, target_id=current_user.id, tenant_id=current_user.tenant_id
            )
    if current_user is None or credential is None:
        raise BadCredentials
    log_sign_in(visitor, current_user, "password")
    return current_user, credential, encoded


def _lacks_proof(tx: Tx, user: User) -> bool:
    """Return whether a user must open the link to its e-mail address before it can sign in."""
    is_unproven = user.signed_up and bool(user.email) and not user.holds_email
    return is_unproven and tx.settings.verify_email == "required"


async def _rehash(
    directory: Directory, actor: Actor, user_id: int, password: str, encoded: str
) -> None:
    """Replace a hash of an outdated format or cost; costs a hash only after a successful sign-in."""
    if not needs_rehash(encoded):
        return
    new_hash = await directory.password_hasher.hash(password)
    async with directory.begin(actor) as tx:
        with contextlib.suppress(NotFound):
            _, current_hash = await user_store.get_with_hash(tx, user_id)
            if current_hash == encoded:  # the row is locked: no other password was or can be set
                await user_store.set_password_hash(tx, user_id, new_hash)


async def _lock_unchanged_user(tx: Tx, user: User, encoded: str) -> User | None:
    """Return the user, its row locked, unless it was deactivated or got another password."""
    try:
        current_user, current_hash = await user_store.get_with_hash(tx, user.id)
    except NotFound:
        return None
    if not current_user.active or current_hash != encoded:
        return None
    return current_user if await lock_active_tenant(tx, current_user) else None


async def change_password(
    directory: Directory,
    actor: Actor,
    current_password: str,
    password: str,
    rules: PasswordRules,
    *,
    problems: Iterable[Problem] = (),
    changes: UserChanges | None = None,
) -> None:
    """Change the actor's own password; all its sessions end, except the one that asks.

    A wrong current password counts as a failed sign-in.

    Args:
        directory: the application's shared state.
        actor: the caller.
        current_password: the current password in plain text.
        password: the new password in plain text.
        rules: the contract's password rules.
        problems: what the dialect found wrong with the request; reported together with the rest.
        changes: other fields to update in the same transaction, as ``users.update`` does.

    Raises:
        Invalid: every problem that was found; field ``current``, code ``wrong`` for a wrong
            current password.
        RateLimited: too many failures on this account.
        Unavailable: the hashing queue is full, or the database cannot serve.
    """
    policy.require_reach(actor, Action.CHANGE_PASSWORD)
    user = await user_store.find(directory.read(actor), actor.user_id)
    if user is None:
        raise Unauthenticated("unknown")
    all_problems = list(problems)
    reported_fields = {problem.field for problem in all_problems}
    if password or not all_problems:
        all_problems += passwords.password_problems(directory, password, rules, user)
    if "current" not in reported_fields:
        all_problems += await _check_current_password(directory, actor, user, current_password)
    if all_problems:
        raise Invalid(*all_problems)
    hashed = await passwords.hash_password(directory, password, user, changes)
    async with directory.begin(actor) as tx:
        user = await user_store.get(tx, actor.user_id)
        if changes is not None:
            await users.update(tx, user.id, changes)
        await passwords.store_password(
            tx, user, hashed, AuditAction.CHANGE_PASSWORD, keeps_session=True
        )
        await tokens.carry_over(tx, actor.token_id, user.id)


async def _check_current_password(
    directory: Directory, actor: Actor, user: User, current_password: str
) -> list[Problem]:
    """Return a problem if the current password is wrong; counts it as a failed sign-in.

    A right password is confirmed only under the account's lock: parallel guesses gain nothing.
    """
    attempt = guess_limits.SignInAttempt(directory, actor, user.username, user)
    read = directory.read(actor)
    await attempt.ensure_allowed(read)
    encoded = await user_store.password_hash(read, user.id)
    matches = await directory.password_hasher.verify(current_password, encoded)
    async with directory.begin(actor, lock=attempt.lock) as tx:
        await attempt.ensure_allowed(tx)
        if not matches:
            await attempt.record_failure(tx)
    return [] if matches else [Problem("current", "wrong")]
