"""Keys that sign JWTs (RFC 7515, RFC 8037): sign, rotate, publish what verifies them.

Whether a credential is good is never decided by its signature here: see decision 11.
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
from dragoman.store import audit, signing_keys
from dragoman.store.signing_keys import SealedPrivateKey
from dragoman.store.transaction import LOCK_SIGNING_KEYS, Read, Tx

MAX_JWT_LIFETIME = HOUR
"""How long a JWT may live."""
RETIRED_KEY_LIFETIME = 2 * MAX_JWT_LIFETIME
"""How long a retired key is published: until the last JWT that it signed is long over."""
ALGORITHM = "EdDSA"
SEAL_PURPOSE = "signing"
PUBLIC_MEMBERS = ("kty", "crv", "x", "kid", "use", "alg")

log: Any = structlog.get_logger()


async def sign(tx: Tx, directory: Directory, claims: dict[str, Any]) -> str:
    """Return a JWT with these claims, in compact form, signed with the current key.

    Makes the first key where there is none. The caller decides who gets one, and for how long
    (``LIFE`` at most). Raises Unavailable where the private half was sealed with another
    server's key.
    """
    key = await signing_keys.current(tx)
    if key is None:
        await tx.lock(LOCK_SIGNING_KEYS)  # another worker may be making it at this moment
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
    """Return joserfc's registry with our algorithm alone.

    RFC 9864 gives Ed25519 a name of its own; verifiers know ``EdDSA``, so that stays in the
    header, and the library's warning about it, which would come with every JWT, is put off.
    """
    from joserfc.jws import JWSRegistry

    algorithm = copy.copy(JWSRegistry.algorithms[ALGORITHM])
    algorithm.security_warning = None
    registry = JWSRegistry(algorithms=[ALGORITHM])
    registry.algorithms = {ALGORITHM: algorithm}
    return registry


async def _create_key(tx: Tx, directory: Directory) -> SealedPrivateKey:
    """Add a key, named by its thumbprint (RFC 7638), that signs from now on."""
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
    """Let a new key sign from now on; returns its kid.

    The earlier one is published until what it signed is over. Raises Forbidden for everybody
    but the command line.
    """
    if tx.actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    await tx.lock(LOCK_SIGNING_KEYS)
    await signing_keys.retire(tx)
    key = await _create_key(tx, directory)
    audit.write(tx, "keys.rotate", target_kind="signing_key")
    return key.kid


async def jwk_set(read: Read) -> dict[str, Any]:
    """Return the JWK set (RFC 7517, section 5) for whoever verifies JWTs without asking us.

    It holds public halves alone: of the key that signs, and of those retired for less than
    ``PUBLISHED``.
    """
    keys = await signing_keys.list_verifying(read, read.now - RETIRED_KEY_LIFETIME)
    return {"keys": [_public_jwk(key.public) for key in keys]}


def _public_jwk(jwk_json: str) -> dict[str, str]:
    """Return the members that may be shown; whatever else stood there stays here."""
    jwk: dict[str, str] = msgspec.json.decode(jwk_json, type=dict[str, str])
    return {name: jwk[name] for name in PUBLIC_MEMBERS}


async def can_unseal(read: Read, directory: Directory) -> bool | None:
    """Say whether the server's key opens the key that signs; None where none was made yet."""
    key = await signing_keys.current(read)
    return None if key is None else _unseal(directory, key) is not None
