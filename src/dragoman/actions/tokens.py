"""Credentials: issue, look up, revoke. Each works at the contract that issued it, alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dragoman.actions import signing
from dragoman.actions.directory import Directory, machine
from dragoman.rules import policy, secrets
from dragoman.rules.errors import Inactive, NotFound, Unauthenticated
from dragoman.rules.model import DAY, HOUR, SECOND, Actor, Role, User
from dragoman.rules.policy import Action, Narrowing
from dragoman.store import audit, tenants, tokens, users
from dragoman.store.engine import Read, Tx, now

REFRESH = "refresh"
"""The kind of a credential that buys new ones, and opens nothing itself."""
TOUCH_EVERY = HOUR
"""How stale the note of a credential's last use may be (microseconds)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How a contract's credentials look and how long they live (microseconds).

    ``lasts`` is a life of fixed length; 0 lets a credential live as long as it is used, within
    the operator's settings. With ``refresh_lasts`` a refresh token of that life comes along.
    ``claims`` makes JWTs of them, with these besides the registered ones (RFC 7519, 4.1).
    """

    contract: str
    make: Callable[[], str] = secrets.make_urlsafe
    kind: str = "session"
    lasts: int = 0
    refresh_lasts: int = 0
    claims: Callable[[User], dict[str, Any]] | None = None


class Credential(msgspec.Struct, frozen=True):
    """What a user is given once, and is nowhere else; ``refresh`` is empty where none is made.

    ``expires_at`` is the moment (microseconds) after which it is worth nothing.
    """

    secret: str
    expires_at: int
    refresh: str = ""


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it came in, with what is known of the request."""

    kind: Kind
    secret: str
    narrowing: Narrowing
    request_id: str
    address: str


async def issuer(directory: Directory, secret: str) -> str:
    """Return the contract at which a credential works at this moment; empty if at none."""
    found = await tokens.standing(directory.database, secrets.digest(secret))
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
    found = await tokens.standing(directory.database, secrets.digest(presented.secret), ahead)
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


async def give(
    tx: Tx, directory: Directory, user: User, kind: Kind, *, family: int = 0
) -> Credential:
    """Make a credential for a user; its secret is nowhere else.

    The caller has decided that the user may have it, and holds its row and its tenant's: see
    ``hold_tenant``, ``sign_in`` and ``issue``.
    ``family`` is that of the refresh token which was spent for it.
    """
    longest = directory.settings.token_max_days * DAY
    ends = tx.now + (min(kind.lasts, longest) or longest)
    idle = ends if kind.lasts else tx.now + directory.settings.token_idle_days * DAY
    refresh = ""
    if kind.refresh_lasts:
        family = family or secrets.make_number()
        refresh = secrets.make_urlsafe()
        until = tx.now + min(kind.refresh_lasts, longest)
        _insert(tx, user, kind, REFRESH, refresh, family, until, until)
    if kind.claims is not None:
        secret = await signing.sign(tx, directory, _claims(tx, directory, user, kind, ends))
    else:
        secret = kind.make()
    _insert(tx, user, kind, kind.kind, secret, family, idle, ends)
    return Credential(secret, ends, refresh)


async def hold_tenant(tx: Tx, user: User) -> bool:
    """Hold the tenant of a user against any change; say whether it lets its users in."""
    if user.tenant_id is None:
        return True
    try:
        tenant = await tenants.get(tx, user.tenant_id, to_change=False)
    except NotFound:
        return False
    own = tx.actor.is_user(user.id)
    return tenant.active and not (own and tenant.auth_epoch != tx.actor.tenant_epoch)


def _insert(
    tx: Tx,
    user: User,
    kind: Kind,
    word: str,
    secret: str,
    family: int,
    idle_until: int,
    expires_at: int,
) -> None:
    tokens.insert(
        tx,
        user_id=user.id,
        digest=secrets.digest(secret),
        contract=kind.contract,
        kind=word,
        family=family,
        idle_until=idle_until,
        expires_at=expires_at,
    )


def _claims(tx: Tx, directory: Directory, user: User, kind: Kind, ends: int) -> dict[str, Any]:
    """Return the claims of a JWT (RFC 7519, 4.1; times in whole seconds) and the contract's own."""
    assert kind.claims is not None
    at = tx.now // SECOND
    return {
        "jti": secrets.make_public_id(),
        "sub": user.public_id,
        **kind.claims(user),
        "iss": directory.settings.public_url,
        "aud": kind.contract,
        "iat": at,
        "nbf": at,
        "exp": at + (ends - tx.now) // SECOND,
    }


async def issue(tx: Tx, directory: Directory, user_id: int, kind: Kind) -> Credential:
    """Make a credential for somebody (the command line, administrators).

    Raises NotFound, Forbidden, or Inactive for a user who is switched off.
    """
    policy.allow(tx.actor, Action.ISSUE_TOKEN)
    user = await users.get(tx, user_id)
    policy.require(tx.actor, Action.ISSUE_TOKEN, user)
    if not user.active or not await hold_tenant(tx, user):
        raise Inactive
    credential = await give(tx, directory, user, kind)
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
    digest = secrets.digest(secret) if secret else b""
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
        async with directory.begin(machine("upkeep")) as tx:
            for token_id, (at, idle_until) in sorted(touches.items()):
                await tokens.touch(tx, token_id, at, idle_until)
    except BaseException:
        directory.touches = touches | directory.touches
        raise
    return len(touches)
