"""Signing keys: which one signs now, and which ones still verify."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from dragoman.store.query import Query, bind
from dragoman.store.schema import signing_keys
from dragoman.store.transaction import Read, Tx


class SigningKey(msgspec.Struct, frozen=True):
    """A key without its private half; ``public`` is its JWK (RFC 7517) as JSON.

    Times are microseconds; ``retired_at`` is 0 for the one that signs.
    """

    kid: str
    public: str
    created_at: int
    retired_at: int


class SealedPrivateKey(msgspec.Struct, frozen=True):
    """The private half of a key, sealed with the server's key."""

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
    """Return the key that signs now, or None before the first one was made."""
    return await reader.fetch_one(_CURRENT)


async def list_all(reader: Read | Tx) -> list[SigningKey]:
    """Return all keys, the newest first."""
    return await reader.fetch(_ALL)


async def list_verifying(reader: Read | Tx, since: int) -> list[SigningKey]:
    """Return the key that signs, and those retired after ``since``, the newest first."""
    return await reader.fetch(_VERIFYING, since=since)


async def insert(tx: Tx, kid: str, public: str, sealed: str) -> None:
    """Add the key that signs from now on (hold LOCK_KEYS)."""
    await tx.run(_INSERT, kid=kid, public=public, sealed=sealed, now=tx.now)


async def retire(tx: Tx) -> int:
    """Let the key that signs sign no more (hold LOCK_KEYS); returns how many there were."""
    return await tx.run(_RETIRE, now=tx.now)


async def purge(tx: Tx, cutoff: int) -> int:
    """Forget keys that were retired at ``until`` or before; returns how many."""
    return await tx.run(_PURGE, until=cutoff)
