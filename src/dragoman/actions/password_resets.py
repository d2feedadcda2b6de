"""A forgotten password: a link by mail, and what it opens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeGuard

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import guess_limits, passwords
from dragoman.rules import crypto, fields
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Invalid, NotFound, Problem, Stale
from dragoman.rules.fields import canonical
from dragoman.rules.model import HOUR, User
from dragoman.rules.passwords import Floor
from dragoman.store import audit, one_time_secrets, outbox
from dragoman.store import users as people
from dragoman.store.transaction import Tx

RESET = "reset"
RESETS_AN_HOUR = 5


async def request_reset(directory: Directory, visitor: Actor, email: str) -> None:
    """Send a reset link to the active user who holds an e-mail address, if there is one.

    Whoever asks learns nothing; more than five an hour for one address send nothing more.
    Raises Invalid for what is no e-mail address.
    """
    if faults := fields.email_problems(email):
        raise Invalid(*faults)
    read = directory.read(visitor)
    found = await people.find_by_name(read, email)
    account = f"reset:{guess_limits.account_of(directory, email, found)}"
    async with directory.begin(visitor) as tx:
        user = await _holder(tx, found, email)
        earlier = await guess_limits.count(tx, account, "", HOUR)
        if user is None or not user.active or earlier >= RESETS_AN_HOUR:
            return
        row = await one_time_secrets.renew(
            tx,
            user_id=user.id,
            user_epoch=user.auth_epoch,
            purpose=RESET,
            expires_at=tx.now + directory.settings.reset_hours * HOUR,
        )
        payload = msgspec.json.encode({"generation": row.generation}).decode()
        await outbox.drop_of(tx, user.id)
        await outbox.add(tx, RESET, user_id=user.id, recipient=user.email, payload=payload)
        audit.write(tx, "request_reset", target_id=user.id, tenant_id=user.tenant_id)


async def _holder(tx: Tx, found: User | None, email: str) -> User | None:
    """Return the user as it stands now, if that is its e-mail address, and not its username."""
    if found is None:
        return None
    try:
        user = await people.get(tx, found.id)
    except NotFound:
        return None
    return user if canonical(user.email) == canonical(email.strip()) else None


def reset_secret(directory: Directory, row: one_time_secrets.OneTime) -> str:
    """Return the secret of a reset link: derived from the server's key and the row, not stored."""
    return crypto.derive(directory.key, RESET, row.id, row.user_id, row.generation)


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
    row = await one_time_secrets.find(read, user.id, RESET)
    _must_open(directory, row, user, secret, read.now)
    return user


def is_open(
    row: one_time_secrets.OneTime | None, user: User, now: int
) -> TypeGuard[one_time_secrets.OneTime]:
    """Say whether a reset link still opens: not used, void or expired, the user as it was."""
    return (
        row is not None
        and not row.used_at
        and user.active
        and row.user_epoch == user.auth_epoch
        and now < row.expires_at
    )


def _must_open(
    directory: Directory, row: one_time_secrets.OneTime | None, user: User, secret: str, now: int
) -> None:
    if not is_open(row, user, now) or not crypto.same(reset_secret(directory, row), secret):
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
        row = await one_time_secrets.find(tx, user.id, RESET)
        _must_open(directory, row, user, secret, tx.now)
        await passwords.store(tx, user, encoded, "reset_password")
    return user
