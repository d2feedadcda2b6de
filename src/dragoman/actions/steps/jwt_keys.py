"""Signing keys of JWTs (RFC 7515, RFC 8037): sign, rotate, publish the public keys.

A signature never decides whether a credential is valid here; see decision 11.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from typing import Any

import msgspec
import structlog

from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_check
from dragoman.rules import crypto
from dragoman.rules.errors import Forbidden, Reason, Unavailable
from dragoman.rules.model import HOUR, MINUTE
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, signing_keys
from dragoman.store.signing_keys import SigningKey
from dragoman.store.transaction import LOCK_SIGNING_KEYS, Read, Tx

MAX_JWT_LIFETIME = HOUR
"""Maximum lifetime of a JWT (microseconds)."""
RETIRED_KEY_LIFETIME = 2 * MAX_JWT_LIFETIME
"""How long a retired key stays published, so that every JWT that it signed can be verified."""
KEY_SET_MAX_AGE = 5 * MINUTE
"""How long clients may cache the published keys, and so how long before it signs a new key is
published (microseconds)."""
KIND_OVERLAP = HOUR
"""How long after a key of the configured algorithm began to sign keys of others are kept; servers
with other settings may still sign with them meanwhile (microseconds)."""
SEAL_PURPOSE = "signing"
PUBLIC_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")

log: Any = structlog.get_logger()


async def sign(tx: Tx, directory: Directory, claims: dict[str, Any]) -> str:
    """Return a JWT with these claims in compact form, signed with the current key.

    Creates the first key if there is none, and the first one of an algorithm that the settings
    name now. The caller decides who gets a JWT, with a lifetime of at most ``MAX_JWT_LIFETIME``.
    Raises Unavailable if the private key was sealed with another server key.
    """
    key = await _current_key(tx, directory)
    private = _unseal(directory, key)
    if private is None:
        log.error(
            "signing_key_sealed_otherwise",
            kid=key.kid,
            advice="bring the earlier DRAGOMAN_SECRET_KEY back, or run 'dragoman keys adopt'",
        )
        raise Unavailable("signing key")
    from joserfc import jwt
    from joserfc.jwk import JWKRegistry

    header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
    signer = JWKRegistry.import_key(msgspec.json.decode(private))
    return jwt.encode(header, claims, signer, registry=_registry(key.algorithm))


async def _current_key(tx: Tx, directory: Directory) -> SigningKey:
    """Return the key that signs now, and create and retire others as their time comes."""
    algorithm = directory.settings.jwt_algorithm
    keys = await signing_keys.list_signing(tx)
    if not any(key.algorithm == algorithm for key in keys):
        await tx.lock(LOCK_SIGNING_KEYS)  # another worker may be creating it
        keys = await signing_keys.list_signing(tx)
        if not any(key.algorithm == algorithm for key in keys):
            delay = KEY_SET_MAX_AGE if keys else 0  # clients know none: the first signs at once
            keys.append(await _create_key(tx, directory, signs_from=tx.now + delay))
    current = choose_key(keys, algorithm, tx.now)
    for key in keys:
        if _is_superseded(key, current, algorithm, tx.now):
            await signing_keys.retire(tx, key.kid)
    return current


def choose_key(keys: list[SigningKey], algorithm: str, now: int) -> SigningKey:
    """Return the key that signs at a time: the newest that may, best of the given algorithm.

    If none may sign yet, because the clock was set back, it is the one that may soonest.

    Args:
        keys: the keys that are not retired, at least one.
        algorithm: the algorithm in the settings.
        now: the time (microseconds).
    """
    ready = [key for key in keys if key.signs_from <= now]
    if not ready:
        return min(keys, key=lambda key: key.signs_from)
    return max(ready, key=lambda key: (key.algorithm == algorithm, _began(key)))


def _began(key: SigningKey) -> int:
    """Return when a key began to sign; those of earlier versions began when they were created."""
    return max(key.created_at, key.signs_from)


def _is_superseded(key: SigningKey, current: SigningKey, algorithm: str, now: int) -> bool:
    """Return whether a key signs no longer, because the current one does."""
    if key.kid == current.kid or key.signs_from > now or _began(key) > _began(current):
        return False
    if key.algorithm == current.algorithm:
        return True
    return current.algorithm == algorithm and _began(current) + KIND_OVERLAP <= now


def _unseal(directory: Directory, key: SigningKey) -> bytes | None:
    return crypto.unseal(directory.server_key, SEAL_PURPOSE, key.sealed)


@functools.cache
def _registry(algorithm: str) -> Any:
    """Return joserfc's registry with one algorithm only.

    RFC 9864 deprecates the name ``EdDSA`` in favour of ``Ed25519``, but verifiers only know
    ``EdDSA``. The library would warn about the name with every JWT, so the warning is removed.
    """
    from joserfc.jws import JWSRegistry

    model = copy.copy(JWSRegistry.algorithms[algorithm])
    model.security_warning = None
    registry = JWSRegistry(algorithms=[algorithm])
    registry.algorithms = {algorithm: model}
    return registry


def _generate(algorithm: str) -> Any:
    """Return a new private key for an algorithm of the settings."""
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    if algorithm == "ES256":
        return ECKey.generate_key("P-256")
    if algorithm == "RS256":
        return RSAKey.generate_key(2048)
    return OKPKey.generate_key("Ed25519")


async def _create_key(tx: Tx, directory: Directory, *, signs_from: int) -> SigningKey:
    """Create a key of the configured algorithm, identified by its thumbprint (RFC 7638).

    Raises Unavailable if this process has not the database's server key.
    """
    await key_check.require(tx, directory)
    algorithm = directory.settings.jwt_algorithm
    key = await asyncio.to_thread(_generate, algorithm)  # RSA takes a tenth of a second
    kid = key.thumbprint()
    metadata = {"kid": kid, "use": "sig", "alg": algorithm}
    public = msgspec.json.encode({**key.as_dict(private=False), **metadata}).decode()
    private = msgspec.json.encode(key.as_dict(private=True))
    sealed = crypto.seal(directory.server_key, SEAL_PURPOSE, private)
    created = SigningKey(kid, public, sealed, algorithm, tx.now, signs_from, 0)
    await signing_keys.insert(tx, created)
    return created


async def rotate(tx: Tx, directory: Directory, *, at_once: bool = False) -> SigningKey:
    """Create a new key and return it.

    It is published now and signs ``KEY_SET_MAX_AGE`` later, when every client has had to fetch it;
    the previous one signs until then, and stays published for ``RETIRED_KEY_LIFETIME``. The very
    first key signs at once.

    Args:
        tx: the transaction.
        directory: the application's shared state.
        at_once: the new key signs at once and all others are withdrawn, because one has leaked.

    Raises:
        Forbidden: the actor is not the system.
        Unavailable: this process has not the database's server key.
    """
    if tx.actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    await tx.lock(LOCK_SIGNING_KEYS)
    await key_check.require(tx, directory)
    if at_once:
        await signing_keys.remove_all(tx)
    delay = KEY_SET_MAX_AGE if await signing_keys.list_signing(tx) else 0
    key = await _create_key(tx, directory, signs_from=tx.now + delay)
    audit.write(tx, AuditAction.ROTATE_KEYS, target_kind="signing_key")
    return key


async def jwk_set(read: Read) -> dict[str, Any]:
    """Return the JWK set (RFC 7517, section 5) with which others can verify JWTs.

    It holds the public keys of all keys that sign, now or soon, and of those retired for less than
    ``RETIRED_KEY_LIFETIME``.
    """
    keys = await signing_keys.list_verifying(read, read.now - RETIRED_KEY_LIFETIME)
    return {"keys": [_public_jwk(key.public) for key in keys]}


def _public_jwk(jwk_json: str) -> dict[str, str]:
    """Return the public members of a stored JWK, whatever else it holds."""
    jwk: dict[str, str] = msgspec.json.decode(jwk_json, type=dict[str, str])
    return {name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk}


async def can_unseal(reader: Read | Tx, directory: Directory) -> bool | None:
    """Return whether the server key opens the newest signing key; None if there is none yet."""
    key = await signing_keys.find_newest(reader)
    return None if key is None else _unseal(directory, key) is not None
