"""One-time secrets for mailed links: the rows that they are derived from."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import one_time
from dragoman.store.transaction import Read, Tx


class OneTimeSecret(msgspec.Struct, frozen=True):
    """The row of a one-time secret, which is derived from ``id`` and ``generation``.

    Times are microseconds since 1970 UTC; ``used_at`` is 0 for an unused one.
    """

    id: int
    user_id: int
    generation: int
    user_epoch: int
    expires_at: int
    used_at: int


_COLUMNS = (
    one_time.c.id,
    one_time.c.user_id,
    one_time.c.generation,
    one_time.c.user_epoch,
    one_time.c.expires_at,
    one_time.c.used_at,
)


def _upsert(insert: object) -> object:
    statement = insert(one_time).values(  # type: ignore[operator]
        user_id=bind("user_id"),
        purpose=bind("purpose", sa.Text),
        generation=1,
        user_epoch=bind("user_epoch"),
        expires_at=bind("expires_at"),
        used_at=0,
    )
    return statement.on_conflict_do_update(
        index_elements=["user_id", "purpose"],
        set_={
            "generation": one_time.c.generation + 1,
            "user_epoch": statement.excluded.user_epoch,
            "expires_at": statement.excluded.expires_at,
            "used_at": 0,
        },
    ).returning(*_COLUMNS)


def _from_row(row: Row) -> OneTimeSecret:
    return OneTimeSecret(*row)


_UPSERT: Query[OneTimeSecret] = Query(
    _upsert(postgres_insert),  # type: ignore[arg-type]
    _from_row,
    sqlite=_upsert(sqlite_insert),  # type: ignore[arg-type]
)
_FOR_USER = sa.select(*_COLUMNS).where(
    one_time.c.user_id == bind("user_id"), one_time.c.purpose == bind("purpose", sa.Text)
)
_FIND_FOR_UPDATE: Query[OneTimeSecret] = Query(
    _FOR_USER.with_for_update(), _from_row, sqlite=_FOR_USER
)
_FIND: Query[OneTimeSecret] = Query(_FOR_USER, _from_row, indexed=True)
_CONSUME: Query[None] = Query(
    sa.update(one_time).where(one_time.c.id == bind("id")).values(used_at=bind("now"))
)
_REMOVE_FOR_USER: Query[None] = Query(
    sa.delete(one_time).where(one_time.c.user_id == bind("user_id"))
)


async def issue(
    tx: Tx, *, user_id: int, user_epoch: int, purpose: str, expires_at: int
) -> OneTimeSecret:
    """Issue a one-time secret, which voids the user's earlier one for this purpose.

    Args:
        tx: the transaction.
        user_id: the user's id.
        user_epoch: the user's current epoch; revoking its sessions voids the secret.
        purpose: what the secret is for.
        expires_at: when it expires (microseconds).
    """
    row = await tx.fetch_one(
        _UPSERT, user_id=user_id, user_epoch=user_epoch, purpose=purpose, expires_at=expires_at
    )
    assert row is not None, "INSERT … RETURNING returns a row"
    return row


async def find(
    reader: Read | Tx, user_id: int, purpose: str, *, for_update: bool = False
) -> OneTimeSecret | None:
    """Return a user's one-time secret for a purpose, or None.

    Args:
        reader: a reader or a transaction.
        user_id: the user's id.
        purpose: what the secret is for.
        for_update: lock its row until the end of the transaction.
    """
    query = _FIND_FOR_UPDATE if for_update else _FIND
    return await reader.fetch_one(query, user_id=user_id, purpose=purpose)


async def consume(tx: Tx, row: OneTimeSecret) -> None:
    """Mark a one-time secret as used."""
    await tx.run(_CONSUME, id=row.id, now=tx.now)


async def remove_for_user(tx: Tx, user_id: int) -> None:
    """Delete every one-time secret of a user."""
    await tx.run(_REMOVE_FOR_USER, user_id=user_id)
