"""Erasures: who was erased, look-ups that find deleted users too, and what is left of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from dragoman.rules.model import User
from dragoman.store import users as user_store
from dragoman.store.query import Query, Row, bind, in_list
from dragoman.store.schema import audit, erasures, import_rows, tenants, users
from dragoman.store.transaction import Read, Tx

PAGE_ROWS = 500
"""Maximum number of erasures per statement."""


class AnyUser(msgspec.Struct, frozen=True):
    """A user who may be deleted: ``deleted_at`` is 0 for one who is not."""

    user: User
    deleted_at: int


def _from_row(row: Row) -> AnyUser:
    return AnyUser(user_store.from_row(row), row[len(user_store.COLUMNS)] or 0)


_SELECT = sa.select(*user_store.COLUMNS, users.c.deleted_at).select_from(users.outerjoin(tenants))
_BY_ID = _SELECT.where(users.c.id == bind("id"))
_FIND_FOR_UPDATE: Query[AnyUser] = Query(
    _BY_ID.with_for_update(key_share=True, of=users), _from_row, sqlite=_BY_ID
)
_FIND: Query[AnyUser] = Query(_BY_ID, _from_row, indexed=True)
_FIND_BY_PUBLIC_ID: Query[AnyUser] = Query(
    _SELECT.where(users.c.public_id == bind("public_id", sa.Text)), _from_row, indexed=True
)


def _insert(insert: object) -> object:
    statement = insert(erasures).values(  # type: ignore[operator]
        public_id=bind("public_id", sa.Text), erased_at=bind("at")
    )
    return statement.on_conflict_do_nothing()


_INSERT: Query[None] = Query(
    _insert(postgres_insert),  # type: ignore[arg-type]
    sqlite=_insert(sqlite_insert),  # type: ignore[arg-type]
)
_ERASED_AT: Query[int] = Query(
    sa.select(erasures.c.erased_at).where(erasures.c.public_id == bind("public_id", sa.Text)),
    indexed=True,
)
_PAGE: Query[tuple[str, int]] = Query(
    sa.select(erasures.c.public_id, erasures.c.erased_at)
    .where(erasures.c.public_id > bind("after", sa.Text))
    .order_by(erasures.c.public_id)
    .limit(bind("limit")),
    lambda row: (row[0], row[1]),
)
_UNERASED: Query[int] = Query(
    sa.select(users.c.id)
    .outerjoin(erasures, erasures.c.public_id == users.c.public_id)
    .where(in_list(users.c.public_id, "public_ids"), erasures.c.public_id.is_(None))
    .order_by(users.c.id)
)
_BLANK_TOMBSTONE: Query[None] = Query(
    sa.update(users)
    .where(users.c.id == bind("row_id"), users.c.deleted_at.is_not(None))
    .values(user_store.BLANK_FIELDS | {"search": "", "password_hash": ""})
)
_BLANK_OWN_ADDRESSES: Query[None] = Query(
    sa.update(audit)
    .where(audit.c.actor_id == bind("user_id"), audit.c.actor_id > 0, audit.c.address != "")
    .values(address="")
)
_BLANK_VISITORS_ADDRESSES: Query[None] = Query(
    sa.update(audit)
    .where(
        audit.c.target_kind == "user",
        audit.c.target_id == bind("user_id"),
        audit.c.actor_id == 0,
        audit.c.address != "",
    )
    .values(address="")
)
_CLEAR_IMPORT_ROWS: Query[None] = Query(
    sa.update(import_rows)
    .where(import_rows.c.user_id == bind("of_user"))
    .values(former=sa.null(), digest=sa.literal(b"", sa.LargeBinary))
)


async def find_any(reader: Read | Tx, user_id: int, *, for_update: bool = False) -> AnyUser | None:
    """Return the user with this id, even if it is deleted; ``for_update`` locks its row."""
    return await reader.fetch_one(_FIND_FOR_UPDATE if for_update else _FIND, id=user_id)


async def find_any_by_public_id(reader: Read | Tx, public_id: str) -> AnyUser | None:
    """Return the user with this public id, even if it is deleted."""
    return await reader.fetch_one(_FIND_BY_PUBLIC_ID, public_id=public_id)


async def insert(tx: Tx, public_id: str, erased_at: int) -> None:
    """Record that somebody was erased (microseconds); an earlier record stays."""
    await tx.run(_INSERT, public_id=public_id, at=erased_at)


async def erased_at(reader: Read | Tx, public_id: str) -> int:
    """Return when the person with this public id was erased (microseconds), 0 if it was not."""
    return await reader.fetch_one(_ERASED_AT, public_id=public_id) or 0


async def list_page(reader: Read | Tx, *, after: str, limit: int) -> list[tuple[str, int]]:
    """Return public ids of erased people and when that was, in the order of the public ids."""
    return await reader.fetch(_PAGE, after=after, limit=limit)


async def all_public_ids(reader: Read | Tx) -> AsyncGenerator[str]:
    """Yield the public ids of all erased people."""
    after = ""
    while page := await list_page(reader, after=after, limit=PAGE_ROWS):
        for public_id, _ in page:
            yield public_id
        after = page[-1][0]


async def list_unerased(reader: Read | Tx, public_ids: Sequence[str]) -> list[int]:
    """Return the ids of users with one of these public ids who have not been erased."""
    return await reader.fetch(_UNERASED, public_ids=list(public_ids))


async def blank_tombstone(tx: Tx, user_id: int) -> None:
    """Blank every personal field of a deleted user."""
    await tx.run(_BLANK_TOMBSTONE, row_id=user_id)


async def clear_traces(tx: Tx, user_id: int) -> None:
    """Blank a person's client addresses in the history, and what imports keep of it."""
    await tx.run(_BLANK_OWN_ADDRESSES, user_id=user_id)
    await tx.run(_BLANK_VISITORS_ADDRESSES, user_id=user_id)
    await tx.run(_CLEAR_IMPORT_ROWS, of_user=user_id)
