"""Sign up, sign in, and change or reset the own password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TypeGuard

import msgspec

from dragoman.actions import attempts, newcomers, passwords
from dragoman.actions.directory import Directory
from dragoman.actions.tokens import Kind, give
from dragoman.rules import fields, policy, secrets
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Reason,
    Stale,
    Unauthenticated,
    Unavailable,
)
from dragoman.rules.fields import Alphabet, canonical
from dragoman.rules.model import HOUR, Actor, NewUser, Role, User
from dragoman.rules.passwords import Floor, needs_rehash
from dragoman.rules.policy import Action
from dragoman.store import audit, one_time, outbox, tenants, tokens
from dragoman.store import users as people
from dragoman.store.engine import Tx

RESET = "reset"
RESETS_AN_HOUR = 5


async def sign_up(
    directory: Directory,
    visitor: Actor,
    new: NewUser,
    password: str,
    floor: Floor,
    kind: Kind,
    *,
    alphabet: Alphabet = Alphabet.STRICT,
    problems: Iterable[Problem] = (),
) -> tuple[User, str]:
    """Register a member of the tenant of the settings; returns the user and a first credential.

    Raises Forbidden(CLOSED), Invalid or Unavailable.
    """
    if not directory.settings.self_registration:
        raise Forbidden(Reason.CLOSED)
    home = await tenants.find_by_slug(directory.read(visitor), directory.settings.tenant)
    if home is None or not home.active:
        raise Forbidden(Reason.CLOSED)
    new.role, new.tenant_id, new.active = Role.MEMBER, home.id, True
    given: list[str] = []

    async def enter(tx: Tx, user: User) -> None:
        now = await tenants.find(tx, home.id)
        if now is None or not now.active:
            raise Forbidden(Reason.CLOSED)  # switched off while the password was hashed
        given.append(await give(tx, directory, user.id, kind))
        await people.signed_in(tx, user.id)
        await attempts.Guess(directory, visitor, user.username, user).succeeded(tx)

    faults = list(problems)
    user = await newcomers.add(
        directory, visitor, new, password, floor, alphabet, faults, action="sign_up", also=enter
    )
    return user, given[0]


async def sign_in(
    directory: Directory, visitor: Actor, name: str, password: str, kind: Kind
) -> tuple[User, str]:
    """Sign in by username or e-mail address; returns the user and a new credential's secret.

    Unknown, wrong, inactive and deleted are alike: BadCredentials after exactly one hash
    verification. Raises Limited after too many failures.
    """
    read = directory.read(visitor)
    user = await people.find_by_name(read, name)
    guess = attempts.Guess(directory, visitor, name, user)
    await guess.must_be_open(read)
    encoded = await people.password_hash(read, user.id) if user else ""
    right = await directory.hashing.verify(password, encoded)
    secret = ""
    async with directory.begin(visitor) as tx:
        await guess.must_be_open(tx)
        now = await _enters(tx, user, encoded) if user and right else None
        if now is None:
            await guess.failed(tx)
        else:
            await guess.succeeded(tx)
            await people.signed_in(tx, now.id)
            secret = await give(tx, directory, now.id, kind)
            await audit.write(tx, "sign_in", target_id=now.id, tenant_id=now.tenant_id)
    if now is None:
        raise BadCredentials
    with contextlib.suppress(Unavailable):
        await _rehash(directory, visitor, now.id, password, encoded)
    return now, secret


async def _rehash(
    directory: Directory, actor: Actor, user_id: int, password: str, encoded: str
) -> None:
    """Store a fresh hash where the old one is of an older kind; only who got in pays for it."""
    if not needs_rehash(encoded):
        return
    fresh = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        with contextlib.suppress(NotFound):
            await people.get(tx, user_id)  # held: nobody sets another one meanwhile
            if await people.password_hash(tx, user_id) == encoded:
                await people.set_hash(tx, user_id, fresh)


async def _enters(tx: Tx, user: User, encoded: str) -> User | None:
    """Return the user as it stands now, unless it was switched off or got another password."""
    try:
        now = await people.get(tx, user.id)
    except NotFound:
        return None
    if not now.active or await people.password_hash(tx, now.id) != encoded:
        return None
    if now.tenant_id is not None:
        home = await tenants.find(tx, now.tenant_id)
        if home is None or not home.active:
            return None
    return now


async def change_password(
    directory: Directory,
    actor: Actor,
    current: str,
    password: str,
    floor: Floor,
    *,
    problems: Iterable[Problem] = (),
) -> None:
    """Change the own password: takes the current one, ends all other sessions, keeps this one.

    ``problems`` is what the dialect found wrong; the current password is judged with it.
    A wrong current password counts as a failed sign-in. Raises Invalid (field ``current``, code
    ``wrong``), Limited or Unavailable.
    """
    policy.allow(actor, Action.CHANGE_PASSWORD)
    read = directory.read(actor)
    user = await people.find(read, actor.user_id)
    if user is None:
        raise Unauthenticated("unknown")
    faults = list(problems)
    told = {fault.field for fault in faults}
    if password or not faults:
        faults += passwords.faults_of(directory, password, floor, user)
    guess = attempts.Guess(directory, actor, user.username, user)
    if "current" not in told:
        await guess.must_be_open(read)
        encoded = await people.password_hash(read, user.id)
        right = await directory.hashing.verify(current, encoded)
        async with directory.begin(actor) as tx:  # a verdict, whatever else is wrong
            await guess.must_be_open(tx)
            if not right:
                await guess.failed(tx)
                faults.append(Problem("current", "wrong"))
    if faults:
        raise Invalid(*faults)
    fresh = await directory.hashing.hash(password)
    async with directory.begin(actor) as tx:
        user = await people.get(tx, actor.user_id)
        if not user.active or user.auth_epoch != actor.auth_epoch:
            raise Unauthenticated("unknown")  # cut off while it waited for the row
        await passwords.store(tx, user, fresh, Action.CHANGE_PASSWORD)
        await tokens.keep(tx, actor.token_id, user.id)


async def request_reset(directory: Directory, visitor: Actor, email: str) -> None:
    """Send a reset link to the active user who holds an e-mail address, if there is one.

    Whoever asks learns nothing; more than five an hour for one address send nothing more.
    Raises Invalid for what is no e-mail address.
    """
    if faults := fields.email_problems(email):
        raise Invalid(*faults)
    read = directory.read(visitor)
    found = await people.find_by_name(read, email)
    account = f"reset:{attempts.account_of(directory, email, found)}"
    async with directory.begin(visitor) as tx:
        user = await _holder(tx, found, email)
        earlier = await attempts.count(tx, account, "", HOUR)
        if user is None or not user.active or earlier >= RESETS_AN_HOUR:
            return
        row = await one_time.renew(
            tx,
            user_id=user.id,
            user_epoch=user.auth_epoch,
            purpose=RESET,
            expires_at=tx.now + directory.settings.reset_hours * HOUR,
        )
        payload = msgspec.json.encode({"generation": row.generation}).decode()
        await outbox.drop_of(tx, user.id)
        await outbox.add(tx, RESET, user_id=user.id, recipient=user.email, payload=payload)
        await audit.write(tx, "request_reset", target_id=user.id, tenant_id=user.tenant_id)


async def _holder(tx: Tx, found: User | None, email: str) -> User | None:
    """Return the user as it stands now, if that is its e-mail address, and not its username."""
    if found is None:
        return None
    try:
        user = await people.get(tx, found.id)
    except NotFound:
        return None
    return user if canonical(user.email) == canonical(email.strip()) else None


def reset_secret(directory: Directory, row: one_time.OneTime) -> str:
    """Return the secret of a reset link: derived from the server's key and the row, not stored."""
    return secrets.derive(directory.key, RESET, row.id, row.user_id, row.generation)


async def reset_owner(directory: Directory, visitor: Actor, uid: str, secret: str) -> User:
    """Return whose password a reset link opens, without using it up.

    Raises Stale(uid) for an unknown user and Stale(token) for a secret that is used, void,
    expired or wrong.
    """
    if not (uid.isascii() and uid.isprintable()):
        raise Stale("uid")  # no database takes everything that a path can hold
    read = directory.read(visitor)
    known = uid.isascii() and uid.isalnum()
    user = await people.find_by_public_id(read, uid) if known else None
    if user is None or not user.active:
        raise Stale("uid")
    row = await one_time.find(read, user.id, RESET)
    _must_open(directory, row, user, secret, read.now)
    return user


def is_open(row: one_time.OneTime | None, user: User, now: int) -> TypeGuard[one_time.OneTime]:
    """Say whether a reset link still opens: not used, void or expired, the user as it was."""
    return (
        row is not None
        and not row.used_at
        and user.active
        and row.user_epoch == user.auth_epoch
        and now < row.expires_at
    )


def _must_open(
    directory: Directory, row: one_time.OneTime | None, user: User, secret: str, now: int
) -> None:
    if not is_open(row, user, now) or not secrets.same(reset_secret(directory, row), secret):
        raise Stale("token")


async def reset_password(
    directory: Directory,
    visitor: Actor,
    uid: str,
    secret: str,
    password: str,
    floor: Floor,
    *,
    problems: Iterable[Problem] = (),
) -> User:
    """Set a new password by a reset link; it works once, and every session ends.

    Raises Stale, Invalid or Unavailable.
    """
    user = await reset_owner(directory, visitor, uid, secret)
    faults = list(problems) or passwords.faults_of(directory, password, floor, user)
    if faults:
        raise Invalid(*faults)
    encoded = await directory.hashing.hash(password)
    async with directory.begin(visitor) as tx:
        try:
            user = await people.get(tx, user.id)
        except NotFound:
            raise Stale("uid") from None
        row = await one_time.find(tx, user.id, RESET)
        _must_open(directory, row, user, secret, tx.now)
        await passwords.store(tx, user, encoded, "reset_password")
    return user
