"""Sign up, sign in, and change the own password."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable

from dragoman.actions.directory import Directory
from dragoman.actions.steps import create_user, guess_limits, passwords
from dragoman.actions.steps.credentials import lock_active_tenant, mint
from dragoman.rules import policy
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
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import PasswordRules, needs_rehash
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, tenants, tokens
from dragoman.store import users as user_store
from dragoman.store.transaction import Tx


def ensure_sign_up_allowed(directory: Directory) -> None:
    """Raise Forbidden(CLOSED) where nobody may sign up, before anything that came is judged."""
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
    """Register a member of the tenant of the settings; returns the user and a first credential.

    Without a ``kind`` that is empty, and nobody has signed in yet. ``first_owns`` makes an owner
    of the first to come where the tenant has never had one.
    Raises Forbidden(CLOSED), Invalid or Unavailable.
    """
    ensure_sign_up_allowed(directory)
    home = await tenants.find_by_slug(directory.read(visitor), directory.settings.tenant)
    if home is None or not home.active:
        raise Forbidden(Reason.SIGN_UP_DISABLED)
    new.role, new.tenant_id, new.active = Role.MEMBER, home.id, True
    given: list[Credential] = []

    async def arrive(tx: Tx, new: NewUser) -> None:
        now = await tenants.get(tx, home.id, for_update=first_becomes_owner)
        if not now.active:
            raise Forbidden(Reason.SIGN_UP_DISABLED)  # switched off while the password was hashed
        if first_becomes_owner and await tenants.mark_owned(tx, home.id):
            new.role = Role.OWNER

    async def enter(tx: Tx, user: User) -> None:
        if credential_format is None:
            return
        given.append(await mint(tx, directory, user, credential_format))
        user_store.record_sign_in(tx, user.id)
        guess_limits.SignInAttempt(directory, visitor, user.username, user).record_success(tx)

    faults = list(problems)
    user = await create_user.insert(
        directory,
        visitor,
        new,
        password,
        rules,
        charset,
        faults,
        action="sign_up",
        before=arrive,
        also=enter,
    )
    return user, given[0] if given else Credential("", 0)


async def sign_in(
    directory: Directory,
    visitor: Actor,
    login_name: str,
    password: str,
    credential_format: CredentialFormat,
    *,
    by_email: bool = False,
) -> tuple[User, Credential]:
    """Sign in by username or e-mail address (or that alone); returns the user and a credential.

    Unknown, wrong, inactive and deleted are alike: BadCredentials after exactly one hash
    verification. Raises Limited after too many failures.
    """
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
        if current_user is None:
            await attempt.record_failure(tx)
        else:
            attempt.record_success(tx)
            user_store.record_sign_in(tx, current_user.id)
            credential = await mint(tx, directory, current_user, credential_format)
            audit.write(tx, "sign_in", target_id=current_user.id, tenant_id=current_user.tenant_id)
    if current_user is None or credential is None:
        raise BadCredentials
    with contextlib.suppress(Unavailable):
        await _rehash(directory, visitor, current_user.id, password, encoded)
    return current_user, credential


async def _rehash(
    directory: Directory, actor: Actor, user_id: int, password: str, encoded: str
) -> None:
    """Store a fresh hash where the old one is of an older kind; only who got in pays for it."""
    if not needs_rehash(encoded):
        return
    new_hash = await directory.password_hasher.hash(password)
    async with directory.begin(actor) as tx:
        with contextlib.suppress(NotFound):
            _, current_hash = await user_store.get_with_hash(tx, user_id)
            if current_hash == encoded:  # nobody has set another one, and nobody can meanwhile
                await user_store.set_password_hash(tx, user_id, new_hash)


async def _lock_unchanged_user(tx: Tx, user: User, encoded: str) -> User | None:
    """Return the user as it stands now, unless it was switched off or got another password."""
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
    also: Callable[[Tx], Awaitable[object]] | None = None,
) -> None:
    """Change the own password: takes the current one, ends all other sessions, keeps this one.

    ``also`` does what belongs to the same transaction. ``problems`` is what the dialect found
    wrong; the current password is judged with it.
    A wrong current password counts as a failed sign-in. Raises Invalid (field ``current``, code
    ``wrong``), Limited or Unavailable.
    """
    policy.require_reach(actor, Action.CHANGE_PASSWORD)
    read = directory.read(actor)
    user = await user_store.find(read, actor.user_id)
    if user is None:
        raise Unauthenticated("unknown")
    all_problems = list(problems)
    reported_fields = {problem.field for problem in all_problems}
    if password or not all_problems:
        all_problems += passwords.password_problems(directory, password, rules, user)
    attempt = guess_limits.SignInAttempt(directory, actor, user.username, user)
    if "current" not in reported_fields:
        await attempt.ensure_allowed(read)
        encoded = await user_store.password_hash(read, user.id)
        matches = await directory.password_hasher.verify(current_password, encoded)
        async with directory.begin(actor, lock=attempt.lock) as tx:  # whatever else is wrong
            await attempt.ensure_allowed(tx)
            if not matches:
                await attempt.record_failure(tx)
                all_problems.append(Problem("current", "wrong"))
    if all_problems:
        raise Invalid(*all_problems)
    new_hash = await directory.password_hasher.hash(password)
    async with directory.begin(actor) as tx:
        user = await user_store.get(tx, actor.user_id)
        if also is not None:
            await also(tx)
        await passwords.store_password(tx, user, new_hash, Action.CHANGE_PASSWORD)
        await tokens.carry_over(tx, actor.token_id, user.id)
