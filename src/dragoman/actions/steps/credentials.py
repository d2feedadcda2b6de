"""Mint credentials. The caller has decided that the user may have one."""

from __future__ import annotations

from typing import Any

from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.rules import crypto
from dragoman.rules.credentials import REFRESH, Credential, CredentialFormat
from dragoman.rules.errors import NotFound
from dragoman.rules.model import DAY, SECOND, User
from dragoman.store import tenants, tokens
from dragoman.store.transaction import Tx


async def mint(
    tx: Tx,
    directory: Directory,
    user: User,
    credential_format: CredentialFormat,
    *,
    family: int = 0,
) -> Credential:
    """Make a credential for a user; its secret is nowhere else.

    The caller has decided that the user may have it, and holds its row and its tenant's: see
    ``hold_tenant``, ``sign_in`` and ``issue``.
    ``family`` is that of the refresh token which was spent for it.
    """
    max_lifetime = directory.settings.token_max_days * DAY
    expires_at = tx.now + (min(credential_format.lifetime, max_lifetime) or max_lifetime)
    idle_until = (
        expires_at
        if credential_format.lifetime
        else tx.now + directory.settings.token_idle_days * DAY
    )
    refresh_token = ""
    if credential_format.refresh_lifetime:
        family = family or crypto.generate_number()
        refresh_token = crypto.generate_urlsafe()
        refresh_expires_at = tx.now + min(credential_format.refresh_lifetime, max_lifetime)
        _insert(
            tx,
            user,
            credential_format,
            REFRESH,
            refresh_token,
            family,
            refresh_expires_at,
            refresh_expires_at,
        )
    if credential_format.claims is not None:
        secret = await jwt_keys.sign(
            tx, directory, _jwt_claims(tx, directory, user, credential_format, expires_at)
        )
    else:
        secret = credential_format.generate()
    _insert(
        tx,
        user,
        credential_format,
        credential_format.token_type,
        secret,
        family,
        idle_until,
        expires_at,
    )
    return Credential(secret, expires_at, refresh_token)


async def lock_active_tenant(tx: Tx, user: User) -> bool:
    """Hold the tenant of a user against any change; say whether it lets its users in."""
    if user.tenant_id is None:
        return True
    try:
        tenant = await tenants.get(tx, user.tenant_id, for_update=False)
    except NotFound:
        return False
    is_self = tx.actor.is_user(user.id)
    return tenant.active and not (is_self and tenant.auth_epoch != tx.actor.tenant_epoch)


def _insert(
    tx: Tx,
    user: User,
    credential_format: CredentialFormat,
    token_type: str,
    secret: str,
    family: int,
    idle_until: int,
    expires_at: int,
) -> None:
    tokens.insert(
        tx,
        user_id=user.id,
        digest=crypto.digest(secret),
        contract=credential_format.contract,
        kind=token_type,
        family=family,
        idle_until=idle_until,
        expires_at=expires_at,
    )


def _jwt_claims(
    tx: Tx, directory: Directory, user: User, credential_format: CredentialFormat, expires_at: int
) -> dict[str, Any]:
    """Return the claims of a JWT (RFC 7519, 4.1; times in whole seconds) and the contract's own."""
    assert credential_format.claims is not None
    issued_at = tx.now // SECOND
    return {
        "jti": crypto.generate_public_id(),
        "sub": user.public_id,
        **credential_format.claims(user),
        "iss": directory.settings.public_url,
        "aud": credential_format.contract,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + (expires_at - tx.now) // SECOND,
    }
