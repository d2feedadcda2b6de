"""One-time secrets that go out by mail: their rows, from which they are derived."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import one_time
from dragoman.store.transaction import Read, Tx


class OneTime(msgspec.Struct, frozen=True):
    """A one-time secret's row: the secret is derived from ``id`` and ``generation``."""

    id: int
    user_id: int
    generation: int
    user_epoch: int
    expires_at: int
    used_at: int


_ONE_TIME = (
    one_time.c.id,
    one_time.c.user_id,
    one_time.c.generation,
    one_time.c.user_epoch,
    one_time.c.expires_at,
    one_time.c.used_at,
)


def _renew(insert: object) -> object:
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
    ).returning(*_ONE_TIME)


def _load_one_time(row: Row) -> OneTime:
    return OneTime(*row)


_RENEW: Query[OneTime] = Query(
    _renew(postgres_insert),  # type: ignore[arg-type]
    _load_one_time,
    sqlite=_renew(sqlite_insert),  # type: ignore[arg-type]
)
_ONE_TIME_OF = sa.select(*_ONE_TIME).where(
    one_time.c.user_id == bind("user_id"), one_time.c.purpose == bind("purpose", sa.Text)
)
_FIND: Query[OneTime] = Query(_ONE_TIME_OF.with_for_update(), _load_one_time, sqlite=_ONE_TIME_OF)
_SEE: Query[OneTime] = Query(_ONE_TIME_OF, _load_one_time)
_USE: Query[None] = Query(
    sa.update(one_time).where(one_time.c.id == bind("id")).values(used_at=bind("now"))
)
_VOID: Query[None] = Query(sa.delete(one_time).where(one_time.c.user_id == bind("user_id")))


async def renew(tx: Tx, *, user_id: int, user_epoch: int, purpose: str, expires_at: int) -> OneTime:
    """Open a one-time secret for a purpose; an earlier one of that purpose is void."""
    row = await tx.one(
        _RENEW, user_id=user_id, user_epoch=user_epoch, purpose=purpose, expires_at=expires_at
    )
    assert row is not None, "an upsert returns its row"
    return row


async def find(read: Read | Tx, user_id: int, purpose: str) -> OneTime | None:
    """Return a user's one-time row of a purpose, held if read in a transaction."""
    query = _FIND if isinstance(read, Tx) else _SEE
    return await read.one(query, user_id=user_id, purpose=purpose)


async def use(tx: Tx, row: OneTime) -> None:
    """Mark a one-time secret as used."""
    await tx.run(_USE, id=row.id, now=tx.now)


async def void(tx: Tx, user_id: int) -> None:
    """Make every one-time secret of a user void."""
    await tx.run(_VOID, user_id=user_id)
