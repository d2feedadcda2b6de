"""One-time secrets for mailed links: the rows that they are derived from."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import one_time
from dragoman.store.transaction import Read, Tx


class OneTimeSecret(msgspec.Struct, frozen=True):
    """The row of a one-time secret, which is derived from ``id`` and ``generation``.

    Times are microseconds since 1970 UTC; ``used_at`` is 0 for an unused one. ``data`` is what the
    secret acts on, such as a former e-mail address.
    """

    id: int
    user_id: int
    purpose: str
    generation: int
    user_epoch: int
    expires_at: int
    used_at: int
    data: str


_COLUMNS = tuple(one_time.c[name] for name in OneTimeSecret.__struct_fields__)


def _upsert(insert: object) -> object:
    statement = insert(one_time).values(  # type: ignore[operator]
        user_id=bind("user_id"),
        purpose=bind("purpose", sa.Text),
        generation=1,
        user_epoch=bind("user_epoch"),
        data=bind("data", sa.Text),
        expires_at=bind("expires_at"),
        used_at=0,
    )
    return statement.on_conflict_do_update(
        index_elements=["user_id", "purpose"],
        set_={
            "generation": one_time.c.generation + 1,
            "user_epoch": statement.excluded.user_epoch,
            "data": statement.excluded.data,
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
_OF_USER = one_time.c.user_id == bind("user_id")
_REMOVE_FOR_USER: Query[None] = Query(sa.delete(one_time).where(_OF_USER))
_REMOVE: Query[None] = Query(
    sa.delete(one_time).where(_OF_USER, in_list(one_time.c.purpose, "purposes"))
)
_WITH_DATA = sa.select(*_COLUMNS).where(one_time.c.data != "")
_LIST_WITH_DATA: Query[OneTimeSecret] = Query(_WITH_DATA.where(_OF_USER), _from_row)
_FIND_BY_PURPOSE: Query[OneTimeSecret] = Query(
    _WITH_DATA.where(one_time.c.purpose == bind("purpose", sa.Text)).order_by(
        one_time.c.expires_at.desc()
    ),
    _from_row,
    indexed=True,
)


async def issue(
    tx: Tx, *, user_id: int, user_epoch: int, purpose: str, expires_at: int, data: str = ""
) -> OneTimeSecret:
    """Issue a one-time secret, which voids the user's earlier one for this purpose.

    Args:
        tx: the transaction.
        user_id: the user's id.
        user_epoch: the user's current epoch; revoking its sessions voids the secret.
        purpose: what the secret is for.
        expires_at: when it expires (microseconds).
        data: what it acts on.
    """
    values = {"user_epoch": user_epoch, "purpose": purpose, "expires_at": expires_at, "data": data}
    row = await tx.fetch_one(_UPSERT, user_id=user_id, **values)
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


async def list_with_data(reader: Read | Tx, user_id: int) -> list[OneTimeSecret]:
    """Return the one-time secrets of a user that act on ``data``."""
    return await reader.fetch(_LIST_WITH_DATA, user_id=user_id)


async def find_by_purpose(reader: Read | Tx, purpose: str) -> OneTimeSecret | None:
    """Return the latest one-time secret with ``data`` for a purpose, of any user, or None."""
    return await reader.fetch_one(_FIND_BY_PURPOSE, purpose=purpose)


async def remove(tx: Tx, user_id: int, purposes: Iterable[str]) -> None:
    """Delete a user's one-time secrets for these purposes."""
    await tx.run(_REMOVE, user_id=user_id, purposes=list(purposes))


async def remove_for_user(tx: Tx, user_id: int) -> None:
    """Delete every one-time secret of a user."""
    await tx.run(_REMOVE_FOR_USER, user_id=user_id)
