"""Credentials: issue, look up, revoke. Each works at the contract that issued it, alone."""

from __future__ import annotations

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import hold_tenant, mint
from dragoman.actions.system import system_actor
from dragoman.rules import crypto, policy
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import REFRESH, Credential, Kind
from dragoman.rules.errors import Inactive, Unauthenticated
from dragoman.rules.model import DAY, HOUR, Role, User
from dragoman.rules.vocabulary import Action, Narrowing
from dragoman.store import audit, tokens, users
from dragoman.store.transaction import Read, Tx, now

TOUCH_EVERY = HOUR
"""How stale the note of a credential's last use may be (microseconds)."""


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it came in, with what is known of the request."""

    kind: Kind
    secret: str
    narrowing: Narrowing
    request_id: str
    address: str


async def issuer(directory: Directory, secret: str) -> str:
    """Return the contract at which a credential works at this moment; empty if at none."""
    found = await tokens.standing(directory.driver, crypto.digest(secret))
    if found is None or found.token.kind == REFRESH or flaw_of(found, now()):
        return ""
    return found.token.contract


async def authenticate(
    directory: Directory, presented: Presented, ahead: int = 0
) -> tuple[Actor, User, User | None]:
    """Return who stands behind a credential, as actor and as user, and the user ``ahead``.

    Raises Unauthenticated: ``inactive`` for the user or tenant that was switched off,
    ``unknown`` for everything else.
    """
    kind = presented.kind
    found = await tokens.standing(directory.driver, crypto.digest(presented.secret), ahead)
    if found is None or (found.token.contract, found.token.kind) != (kind.contract, kind.kind):
        raise Unauthenticated("unknown")
    at = now()
    if flaw := flaw_of(found, at):
        raise Unauthenticated(flaw)
    if not kind.lasts and at - found.token.last_used_at > TOUCH_EVERY:
        directory.touches[found.token.id] = (at, at + directory.settings.token_idle_days * DAY)
    return await actor_of(directory, presented, found), found.user, found.ahead


def flaw_of(found: tokens.Standing, at: int) -> str:
    """Return why a credential is no good any more at a moment (microseconds), or nothing."""
    if found.used_at:
        return "unknown"
    if not found.user.active or not found.tenant_active:
        return "inactive"
    if not found.epochs_hold or at >= min(found.idle_until, found.token.expires_at):
        return "unknown"
    return ""


async def actor_of(directory: Directory, presented: Presented, found: tokens.Standing) -> Actor:
    """Return who stands behind a credential that has no flaw, as it stands at this contract."""
    user = found.user
    role, tenant_id = await _standing(directory, user, presented.narrowing)
    return Actor(
        kind="user",
        contract=presented.kind.contract,
        narrowing=presented.narrowing,
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        permissions=found.permissions,
        auth_epoch=user.auth_epoch,
        tenant_epoch=found.tenant_epoch,
        token_id=found.token.id,
        request_id=presented.request_id,
        address=presented.address,
    )


async def signed_in(directory: Directory, visitor: Actor, user: User) -> Actor:
    """Return a visitor as the user that it has just signed in as, with what its role gives it."""
    role, tenant_id = await _standing(directory, user, visitor.narrowing)
    return msgspec.structs.replace(
        visitor,
        kind="user",
        user_id=user.id,
        tenant_id=tenant_id,
        role=role,
        auth_epoch=user.auth_epoch,
    )


async def _standing(
    directory: Directory, user: User, narrowing: Narrowing
) -> tuple[Role, int | None]:
    homeless = user.tenant_id is None and not narrowing.whole_platform
    home = await directory.home() if homeless else 0
    return policy.standing(user.role, user.tenant_id, narrowing, home)


async def issue(tx: Tx, directory: Directory, user_id: int, kind: Kind) -> Credential:
    """Make a credential for somebody (the command line, administrators).

    Raises NotFound, Forbidden, or Inactive for a user who is switched off.
    """
    policy.allow(tx.actor, Action.ISSUE_TOKEN)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ISSUE_TOKEN, user)
    if not user.active or not await hold_tenant(tx, user):
        raise Inactive
    credential = await mint(tx, directory, user, kind)
    audit.write(tx, Action.ISSUE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return credential


async def sign_out(tx: Tx, *, everywhere: bool = False) -> None:
    """End the session that asks for it, or all of that user's at this contract."""
    actor = tx.actor
    policy.allow(actor, Action.REVOKE_TOKEN)
    await users.get(tx, actor.user_id)  # held: no refresh token gives another one meanwhile
    if everywhere:
        await tokens.remove_of(tx, actor.user_id, contract=actor.contract)
    else:
        await tokens.remove(tx, actor.token_id)
    audit.write(tx, "sign_out", target_id=actor.user_id, tenant_id=actor.tenant_id)


async def revoke(tx: Tx, user_id: int, *, secret: str = "") -> int:
    """End one session of a user at this contract, or all of them; returns how many there were.

    Raises NotFound or Forbidden.
    """
    policy.allow(tx.actor, Action.REVOKE_TOKEN, user_id)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.REVOKE_TOKEN, user)
    digest = crypto.digest(secret) if secret else b""
    ended = await tokens.remove_of(tx, user.id, contract=tx.actor.contract, digest=digest)
    audit.write(tx, Action.REVOKE_TOKEN, target_id=user.id, tenant_id=user.tenant_id)
    return ended


async def beginnings(read: Read, user: User) -> list[int]:
    """Return when each session that a user has at this contract began (microseconds), in order.

    Raises Forbidden or NotFound.
    """
    policy.require(read.actor, Action.VIEW_USER, user)
    return await tokens.beginnings(read, user.id, read.actor.contract)


async def note_touches(directory: Directory) -> int:
    """Write down which credentials were used since the last time; returns how many."""
    touches, directory.touches = directory.touches, {}
    if not touches:
        return 0
    try:
        async with directory.begin(system_actor("upkeep")) as tx:
            for token_id, (at, idle_until) in sorted(touches.items()):
                await tokens.touch(tx, token_id, at, idle_until)
    except BaseException:
        directory.touches = touches | directory.touches
        raise
    return len(touches)
