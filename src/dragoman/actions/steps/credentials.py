"""Mint credentials. The caller has decided that the user may have one."""

from __future__ import annotations

from typing import Any

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.rules import crypto
from dragoman.rules.credentials import REFRESH, Credential, Kind
from dragoman.rules.errors import NotFound
from dragoman.rules.model import DAY, SECOND, User
from dragoman.store import tenants, tokens
from dragoman.store.transaction import Tx


async def mint(
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
        family = family or crypto.make_number()
        refresh = crypto.make_urlsafe()
        until = tx.now + min(kind.refresh_lasts, longest)
        _insert(tx, user, kind, REFRESH, refresh, family, until, until)
    if kind.claims is not None:
        secret = await jwt_keys.sign(tx, directory, _claims(tx, directory, user, kind, ends))
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
        digest=crypto.digest(secret),
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
        "jti": crypto.make_public_id(),
        "sub": user.public_id,
        **kind.claims(user),
        "iss": directory.settings.public_url,
        "aud": kind.contract,
        "iat": at,
        "nbf": at,
        "exp": at + (ends - tx.now) // SECOND,
    }
