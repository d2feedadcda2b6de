"""Create credentials.

Only actions may call this: nothing here checks who asks. The action has verified a password, a
one-time secret or the policy first, and has locked the rows of the user and its tenant, so that
neither can be deactivated before the credential exists. import-linter keeps dialects out.
"""

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

CLOCK_SKEW_S = 10
"""How far the clocks of other servers may be behind, for a new JWT to be valid there (seconds)."""


async def mint(
    tx: Tx,
    directory: Directory,
    user: User,
    credential_format: CredentialFormat,
    *,
    family: int = 0,
) -> Credential:
    """Create a credential for a user and store its digest; the secret is returned only here.

    Args:
        tx: the transaction; it has locked the user and its tenant (``lock_active_tenant``).
        directory: the application's shared state.
        user: the user that the credential is for.
        credential_format: the format of the contract's credentials.
        family: the family of the refresh token that is exchanged; 0 starts a new one.

    Raises:
        Unavailable: a JWT is needed, and the server key does not open the signing key.
    """
    settings = directory.settings
    max_lifetime = settings.token_max_days * DAY
    refresh_token = ""
    if credential_format.refresh_lifetime:
        family = family or crypto.generate_number()
        refresh_lifetime = min(credential_format.refresh_lifetime, max_lifetime)
        refresh_token = _insert_refresh_token(
            tx, user, credential_format.contract, family, tx.now + refresh_lifetime
        )
    lifetime = min(credential_format.lifetime, max_lifetime) or max_lifetime
    idle_lifetime = credential_format.idle_lifetime or (
        lifetime if credential_format.lifetime else settings.token_idle_days * DAY
    )
    if credential_format.claims is None:
        secret = credential_format.generate()
    else:
        claims = await _jwt_claims(tx, directory, user, credential_format, lifetime)
        secret = await jwt_keys.sign(tx, directory, claims)
    tokens.insert(
        tx,
        user_id=user.id,
        digest=crypto.digest(secret),
        contract=credential_format.contract,
        kind=credential_format.token_type,
        family=family,
        idle_until=tx.now + idle_lifetime,
        expires_at=tx.now + lifetime,
    )
    return Credential(secret, tx.now + lifetime, refresh_token)


def _insert_refresh_token(tx: Tx, user: User, contract: str, family: int, expires_at: int) -> str:
    """Store a new refresh token's digest; return the token."""
    refresh_token = crypto.generate_urlsafe()
    tokens.insert(
        tx,
        user_id=user.id,
        digest=crypto.digest(refresh_token),
        contract=contract,
        kind=REFRESH,
        family=family,
        idle_until=expires_at,
        expires_at=expires_at,
    )
    return refresh_token


async def lock_active_tenant(tx: Tx, user: User) -> bool:
    """Lock the user's tenant against changes, and return whether its users may sign in.

    False also if the actor is the user and the tenant's sessions were revoked meanwhile.
    """
    if user.tenant_id is None:
        return True
    try:
        tenant = await tenants.get(tx, user.tenant_id, lock="share")
    except NotFound:
        return False
    is_self = tx.actor.is_user(user.id)
    return tenant.active and not (is_self and tenant.auth_epoch != tx.actor.tenant_epoch)


async def _jwt_claims(
    tx: Tx, directory: Directory, user: User, credential_format: CredentialFormat, lifetime: int
) -> dict[str, Any]:
    """Return the registered claims (RFC 7519, 4.1; times in seconds) and the contract's own.

    ``tenant`` is the slug of the tenant in which the user stands at the contract.
    """
    assert credential_format.claims is not None
    issued_at = tx.now // SECOND
    tenant = await tenants.find(tx, user.tenant_id) if user.tenant_id is not None else None
    return {
        "jti": crypto.generate_public_id(),
        "sub": user.public_id,
        **credential_format.claims(user),
        "tenant": tenant.slug if tenant else directory.settings.tenant,
        "iss": directory.settings.public_url,
        "aud": credential_format.contract,
        "iat": issued_at,
        "nbf": issued_at - CLOCK_SKEW_S,
        "exp": issued_at + lifetime // SECOND,
    }
