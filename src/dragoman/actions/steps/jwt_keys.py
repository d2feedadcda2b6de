"""Signing keys of JWTs (RFC 7515, RFC 8037): sign, rotate, publish the public keys.

A signature never decides whether a credential is valid here; see decision 11.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import msgspec
import structlog

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.errors import Forbidden, Reason, Unavailable
from dragoman.rules.model import HOUR
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, signing_keys
from dragoman.store.signing_keys import SealedPrivateKey
from dragoman.store.transaction import LOCK_SIGNING_KEYS, Read, Tx

MAX_JWT_LIFETIME = HOUR
"""Maximum lifetime of a JWT (microseconds)."""
RETIRED_KEY_LIFETIME = 2 * MAX_JWT_LIFETIME
"""How long a retired key stays published, so that every JWT that it signed can be verified."""
ALGORITHM = "EdDSA"
SEAL_PURPOSE = "signing"
PUBLIC_MEMBERS = ("kty", "crv", "x", "kid", "use", "alg")

log: Any = structlog.get_logger()


async def sign(tx: Tx, directory: Directory, claims: dict[str, Any]) -> str:
    """Return a JWT with these claims in compact form, signed with the current key.

    Creates the first key if there is none. The caller decides who gets a JWT, with a lifetime of
    at most ``MAX_JWT_LIFETIME``. Raises Unavailable if the private key was sealed with another
    server key.
    """
    key = await signing_keys.current(tx)
    if key is None:
        await tx.lock(LOCK_SIGNING_KEYS)  # another worker may be creating it
        key = await signing_keys.current(tx) or await _create_key(tx, directory)
    private = _unseal(directory, key)
    if private is None:
        log.error(
            "signing_key_sealed_otherwise",
            kid=key.kid,
            advice="bring the earlier DRAGOMAN_SECRET_KEY back, or run 'dragoman keys rotate'",
        )
        raise Unavailable("signing key")
    from joserfc import jwt
    from joserfc.jwk import OKPKey

    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
    signer = OKPKey.import_key(msgspec.json.decode(private))
    return jwt.encode(header, claims, signer, registry=_registry())


def _unseal(directory: Directory, key: SealedPrivateKey) -> bytes | None:
    return crypto.unseal(directory.server_key, SEAL_PURPOSE, key.sealed)


@functools.cache
def _registry() -> Any:
    """Return joserfc's registry with ``ALGORITHM`` only.

    RFC 9864 deprecates the name ``EdDSA`` in favour of ``Ed25519``, but verifiers only know
    ``EdDSA``. The library would warn about the name with every JWT, so the warning is removed.
    """
    from joserfc.jws import JWSRegistry

    algorithm = copy.copy(JWSRegistry.algorithms[ALGORITHM])
    algorithm.security_warning = None
    registry = JWSRegistry(algorithms=[ALGORITHM])
    registry.algorithms = {ALGORITHM: algorithm}
    return registry


async def _create_key(tx: Tx, directory: Directory) -> SealedPrivateKey:
    """Create a key, identified by its thumbprint (RFC 7638), and make it the current one."""
    from joserfc.jwk import OKPKey

    key = OKPKey.generate_key("Ed25519")
    kid = key.thumbprint()
    metadata = {"kid": kid, "use": "sig", "alg": ALGORITHM}
    public = msgspec.json.encode({**key.as_dict(private=False), **metadata}).decode()
    private = msgspec.json.encode(key.as_dict(private=True))
    sealed_key = SealedPrivateKey(kid, crypto.seal(directory.server_key, SEAL_PURPOSE, private))
    await signing_keys.insert(tx, kid, public, sealed_key.sealed)
    return sealed_key


async def rotate(tx: Tx, directory: Directory) -> str:
    """Create a new current key and return its ``kid``.

    The previous key stays published for ``RETIRED_KEY_LIFETIME``. Raises Forbidden unless the
    actor is the system.
    """
    if tx.actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    await tx.lock(LOCK_SIGNING_KEYS)
    await signing_keys.retire(tx)
    key = await _create_key(tx, directory)
    audit.write(tx, AuditAction.ROTATE_KEYS, target_kind="signing_key")
    return key.kid


async def jwk_set(read: Read) -> dict[str, Any]:
    """Return the JWK set (RFC 7517, section 5) with which others can verify JWTs.

    It holds the public keys of the current key, and of those retired for less than
    ``RETIRED_KEY_LIFETIME``.
    """
    keys = await signing_keys.list_verifying(read, read.now - RETIRED_KEY_LIFETIME)
    return {"keys": [_public_jwk(key.public) for key in keys]}


def _public_jwk(jwk_json: str) -> dict[str, str]:
    """Return the public members of a stored JWK, whatever else it holds."""
    jwk: dict[str, str] = msgspec.json.decode(jwk_json, type=dict[str, str])
    return {name: jwk[name] for name in PUBLIC_MEMBERS}


async def can_unseal(read: Read, directory: Directory) -> bool | None:
    """Return whether the server key opens the current key; None if there is none yet."""
    key = await signing_keys.current(read)
    return None if key is None else _unseal(directory, key) is not None
