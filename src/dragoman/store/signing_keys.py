"""Signing keys of JWTs: those that sign, now or soon, and retired ones that still verify."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import signing_keys
from dragoman.store.transaction import Read, Tx


class SigningKey(msgspec.Struct, frozen=True):
    """A signing key.

    Attributes:
        kid: the key id.
        public: the public JWK (RFC 7517) as JSON.
        sealed: the private part, encrypted with the server's key.
        algorithm: the algorithm (RFC 7518), as in the JWK.
        created_at: when it was created and published (microseconds).
        signs_from: when it begins to sign (microseconds).
        retired_at: when it ceased to sign (microseconds); 0 if it did not.
    """

    kid: str
    public: str
    sealed: str
    algorithm: str
    created_at: int
    signs_from: int
    retired_at: int


class _Jwk(msgspec.Struct, frozen=True):
    alg: str


_decode_jwk = msgspec.json.Decoder(_Jwk).decode


def _from_row(row: Row) -> SigningKey:
    kid, public, sealed, created_at, signs_from, retired_at = row
    algorithm = _decode_jwk(public).alg
    return SigningKey(kid, public, sealed, algorithm, created_at, signs_from, retired_at)


_KEYS = sa.select(
    signing_keys.c.kid,
    signing_keys.c.public,
    signing_keys.c.sealed,
    signing_keys.c.created_at,
    signing_keys.c.signs_from,
    signing_keys.c.retired_at,
).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
_IS_SIGNING = signing_keys.c.retired_at == 0
_ALL: Query[SigningKey] = Query(_KEYS, _from_row)
_VERIFYING: Query[SigningKey] = Query(
    _KEYS.where(sa.or_(_IS_SIGNING, signing_keys.c.retired_at > bind("since"))), _from_row
)
_SIGNING: Query[SigningKey] = Query(_KEYS.where(_IS_SIGNING), _from_row, indexed=True)
_NEWEST: Query[SigningKey] = Query(_KEYS.limit(1), _from_row, indexed=True)
_INSERT: Query[None] = Query(
    sa.insert(signing_keys).values(
        kid=bind("kid", sa.Text),
        public=bind("public", sa.Text),
        sealed=bind("sealed", sa.Text),
        created_at=bind("now"),
        signs_from=bind("signs_from"),
    )
)
_RETIRE: Query[None] = Query(
    sa.update(signing_keys)
    .where(signing_keys.c.kid == bind("kid", sa.Text), _IS_SIGNING)
    .values(retired_at=bind("now"))
)
_REMOVE_ALL: Query[None] = Query(sa.delete(signing_keys))
_PURGE: Query[None] = Query(
    sa.delete(signing_keys).where(
        signing_keys.c.retired_at > 0, signing_keys.c.retired_at <= bind("until")
    )
)


async def list_signing(reader: Read | Tx) -> list[SigningKey]:
    """Return the keys that are not retired, newest first; some may not sign yet."""
    return await reader.fetch(_SIGNING)


async def find_newest(reader: Read | Tx) -> SigningKey | None:
    """Return the key that was created last, or None if none was created yet."""
    return await reader.fetch_one(_NEWEST)


async def list_all(reader: Read | Tx) -> list[SigningKey]:
    """Return all keys, newest first."""
    return await reader.fetch(_ALL)


async def list_verifying(reader: Read | Tx, since: int) -> list[SigningKey]:
    """Return the keys that are not retired, or were after ``since`` (microseconds), newest first."""
    return await reader.fetch(_VERIFYING, since=since)


async def insert(tx: Tx, key: SigningKey) -> None:
    """Insert a new signing key; the caller holds LOCK_SIGNING_KEYS."""
    await tx.run(
        _INSERT,
        kid=key.kid,
        public=key.public,
        sealed=key.sealed,
        now=key.created_at,
        signs_from=key.signs_from,
    )


async def retire(tx: Tx, kid: str) -> None:
    """Retire a key now, unless it is retired already."""
    await tx.run(_RETIRE, kid=kid, now=tx.now)


async def remove_all(tx: Tx) -> None:
    """Delete all keys: nothing that they signed can be verified any more."""
    await tx.run(_REMOVE_ALL)


async def purge(tx: Tx, cutoff: int) -> int:
    """Delete keys retired at or before ``cutoff`` (microseconds) and return their number."""
    return await tx.run(_PURGE, until=cutoff)
