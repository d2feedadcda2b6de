"""Signing keys of JWTs: the current one, and retired ones that still verify signatures."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query, bind
from dragoman.store.schema import signing_keys
from dragoman.store.transaction import Read, Tx


class SigningKey(msgspec.Struct, frozen=True):
    """The public part of a key; ``public`` is its JWK (RFC 7517) as JSON.

    Times are microseconds since 1970 UTC; ``retired_at`` is 0 for the current key.
    """

    kid: str
    public: str
    created_at: int
    retired_at: int


class SealedPrivateKey(msgspec.Struct, frozen=True):
    """The private part of a key, encrypted with the server's key."""

    kid: str
    sealed: str


_KEYS = sa.select(
    signing_keys.c.kid,
    signing_keys.c.public,
    signing_keys.c.created_at,
    signing_keys.c.retired_at,
).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
_IS_CURRENT = signing_keys.c.retired_at == 0
_ALL: Query[SigningKey] = Query(_KEYS, lambda row: SigningKey(*row))
_VERIFYING: Query[SigningKey] = Query(
    _KEYS.where(sa.or_(_IS_CURRENT, signing_keys.c.retired_at > bind("since"))),
    lambda row: SigningKey(*row),
)
_CURRENT: Query[SealedPrivateKey] = Query(
    sa.select(signing_keys.c.kid, signing_keys.c.sealed)
    .where(_IS_CURRENT)
    .order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid)
    .limit(1),
    lambda row: SealedPrivateKey(*row),
    indexed=True,
)
_INSERT: Query[None] = Query(
    sa.insert(signing_keys).values(
        kid=bind("kid", sa.Text),
        public=bind("public", sa.Text),
        sealed=bind("sealed", sa.Text),
        created_at=bind("now"),
    )
)
_RETIRE: Query[None] = Query(
    sa.update(signing_keys).where(_IS_CURRENT).values(retired_at=bind("now"))
)
_PURGE: Query[None] = Query(
    sa.delete(signing_keys).where(
        signing_keys.c.retired_at > 0, signing_keys.c.retired_at <= bind("until")
    )
)


async def current(reader: Read | Tx) -> SealedPrivateKey | None:
    """Return the current signing key, or None if none was created yet."""
    return await reader.fetch_one(_CURRENT)


async def list_all(reader: Read | Tx) -> list[SigningKey]:
    """Return all keys, newest first."""
    return await reader.fetch(_ALL)


async def list_verifying(reader: Read | Tx, since: int) -> list[SigningKey]:
    """Return the current key and those retired after ``since`` (microseconds), newest first."""
    return await reader.fetch(_VERIFYING, since=since)


async def insert(tx: Tx, kid: str, public: str, sealed: str) -> None:
    """Insert the new signing key; the caller holds LOCK_SIGNING_KEYS.

    Args:
        tx: the transaction.
        kid: the key id.
        public: the public JWK as JSON.
        sealed: the private part, encrypted with the server's key.
    """
    await tx.run(_INSERT, kid=kid, public=public, sealed=sealed, now=tx.now)


async def retire(tx: Tx) -> int:
    """Retire the current key and return how many there were; the caller holds LOCK_SIGNING_KEYS."""
    return await tx.run(_RETIRE, now=tx.now)


async def purge(tx: Tx, cutoff: int) -> int:
    """Delete keys retired at or before ``cutoff`` (microseconds) and return their number."""
    return await tx.run(_PURGE, until=cutoff)
