"""Credentials: issue, look up, revoke. Each works at the contract that issued it, alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dragoman.actions.directory import Directory, machine
from dragoman.rules import policy, secrets
from dragoman.rules.errors import Unauthenticated
from dragoman.rules.model import DAY, HOUR, Actor, User
from dragoman.rules.policy import Action, Narrowing
from dragoman.store import audit, tokens, users
from dragoman.store.engine import Tx, now

TOUCH_EVERY = HOUR
"""How stale the note of a credential's last use may be (microseconds)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How a contract's credentials look and how long they live.

    ``idle_days`` and ``max_days`` 0 take the operator's settings.
    """

    contract: str
    make: Callable[[], str]
    kind: str = "session"
    idle_days: int = 0
    max_days: int = 0


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it came in, with what is known of the request."""

    kind: Kind
    secret: str
    narrowing: Narrowing
    request_id: str
    address: str


async def authenticate(
    directory: Directory, presented: Presented, ahead: int = 0
) -> tuple[Actor, User, User | None]:
    """Return who stands behind a credential, as actor and as user, and the user ``ahead``.

    Raises Unauthenticated: ``inactive`` for the user or tenant that was switched off,
    ``unknown`` for everything else.
    """
    digest = secrets.digest(presented.secret)
    found = await tokens.standing(directory.database, digest, ahead)
    if found is None or found.token.contract != presented.kind.contract or found.used_at:
        raise Unauthenticated("unknown")
    if not found.user.active or not found.tenant_active:
        raise Unauthenticated("inactive")
    at = now()
    if not found.epochs_hold or at >= min(found.idle_until, found.token.expires_at):
        raise Unauthenticated("unknown")
    if at - found.token.last_used_at > TOUCH_EVERY:
        idle = (presented.kind.idle_days or directory.settings.token_idle_days) * DAY
        directory.touches[found.token.id] = (at, at + idle)
    user = found.user
    actor = Actor(
        kind="user",
        contract=presented.kind.contract,
        narrowing=presented.narrowing,
        user_id=user.id,
        tenant_id=user.tenant_id,
        role=user.role,
        permissions=found.permissions,
        auth_epoch=user.auth_epoch,
        tenant_epoch=found.tenant_epoch,
        token_id=found.token.id,
        request_id=presented.request_id,
        address=presented.address,
    )
    return actor, user, found.ahead


async def give(tx: Tx, directory: Directory, user_id: int, kind: Kind) -> str:
    """Make a credential for a user and return its secret, which is nowhere else.

    The caller has decided that the user may have it: see ``sign_in`` and ``issue``.
    """
    secret = kind.make()
    idle = (kind.idle_days or directory.settings.token_idle_days) * DAY
    most = (kind.max_days or directory.settings.token_max_days) * DAY
    await tokens.insert(
        tx,
        user_id=user_id,
        digest=secrets.digest(secret),
        contract=kind.contract,
        kind=kind.kind,
        idle_until=tx.now + idle,
        expires_at=tx.now + most,
    )
    return secret


async def issue(tx: Tx, directory: Directory, user_id: int, kind: Kind) -> str:
    """Make a credential for somebody (the command line, administrators); returns its secret.

    Raises NotFound, Forbidden, or Unauthenticated(inactive) for a user who is switched off.
    """
    policy.allow(tx.actor, Action.ISSUE_TOKEN)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ISSUE_TOKEN, user)
    if not user.active:
        raise Unauthenticated("inactive")
    secret = await give(tx, directory, user_id, kind)
    await audit.write(tx, Action.ISSUE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return secret


async def sign_out(tx: Tx) -> None:
    """End the session that asks for it."""
    policy.allow(tx.actor, Action.REVOKE_TOKEN)
    await tokens.remove(tx, tx.actor.token_id)
    await audit.write(tx, "sign_out", target_id=tx.actor.user_id, tenant_id=tx.actor.tenant_id)


async def note_touches(directory: Directory) -> int:
    """Write down which credentials were used since the last time; returns how many."""
    touches, directory.touches = directory.touches, {}
    if not touches:
        return 0
    try:
        async with directory.begin(machine("upkeep")) as tx:
            for token_id, (at, idle_until) in sorted(touches.items()):
                await tokens.touch(tx, token_id, at, idle_until)
    except BaseException:
        directory.touches = touches | directory.touches
        raise
    return len(touches)
