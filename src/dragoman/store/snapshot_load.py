"""Loads the tables of a backup into an empty database, within one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from dragoman.store.query import BulkInsert, Query, bind
from dragoman.store.schema import audit, metadata, outbox, tenants, users
from dragoman.store.transaction import Read, Tx

ID_JUMP = 1_000_000
"""How far ids go on after those of the backup, which does not know the ones given out since."""
HELD = "held back: restored from a backup, and probably sent before"
"""Why a mail that was waiting at the time of the backup is not sent."""
_NEWEST_IDS: Mapping[str, Query[int]] = {
    table.name: Query(sa.select(sa.func.max(table.autoincrement_column)))
    for table in metadata.sorted_tables
    if table.autoincrement_column is not None
}
_CONTENTS: tuple[Query[int], ...] = tuple(
    Query(sa.select(table.c.id).limit(1), indexed=True) for table in (users, tenants, audit, outbox)
)
_TRIGGERS: Query[tuple[str, str]] = Query(
    sa.text("SELECT '', '' WHERE false"),
    lambda row: (row[0], row[1]),
    sqlite=sa.text(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'users'"
    ),
)
_FILL_SEARCH: Query[None] = Query(
    sa.text("SELECT 1"),  # PostgreSQL fills its index row by row
    sqlite=sa.text(
        "INSERT INTO users_search (rowid, search) SELECT id, search FROM users WHERE search <> ''"
    ),
)
_MOVE_SEQUENCE: Query[int] = Query(
    sa.text("SELECT setval(pg_get_serial_sequence(:table_name, 'id'), :last_id)").bindparams(
        bind("table_name", sa.Text), bind("last_id")
    ),
    sqlite=sa.text("UPDATE sqlite_sequence SET seq = :last_id WHERE name = :table_name"),
)
_ADD_SEQUENCE: Query[None] = Query(
    sa.text("SELECT 1"),
    sqlite=sa.text(
        "INSERT INTO sqlite_sequence (name, seq) SELECT :table_name, 0"
        " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :table_name)"
    ),
)
_ANALYZE: Query[None] = Query(sa.text("ANALYZE"), sqlite=sa.text("SELECT 1"))


async def is_empty(reader: Read | Tx) -> bool:
    """Return whether the database holds no users, tenants, history or mails."""
    return not any([await reader.fetch(query) for query in _CONTENTS])


def bulk_insert(table: str, columns: Sequence[str]) -> BulkInsert:
    """Return the insert of a table as a backup describes it, perhaps of an earlier schema."""
    target = sa.table(table, *(sa.column(name) for name in columns))
    return BulkInsert(target, columns)


async def suspend_search(tx: Tx) -> list[str]:
    """Stop filling SQLite's search index row by row; return what ``resume_search`` needs."""
    triggers = await tx.fetch(_TRIGGERS)
    for name, _ in triggers:
        await tx.run(Query(sa.text("DROP TRIGGER " + name)))  # a name of the schema
    return [sql for _, sql in triggers]


async def resume_search(tx: Tx, triggers: Sequence[str]) -> None:
    """Fill SQLite's search index from the users, and let it follow them again."""
    if triggers:
        await tx.run(_FILL_SEARCH)
    for sql in triggers:
        await tx.run(Query(sa.text(sql)))


async def move_ids(tx: Tx, last_ids: Mapping[str, int]) -> None:
    """Let the ids of each table go on ``ID_JUMP`` after its newest one.

    ``last_ids`` are the newest ids that were ever given out, by table, as far as they are known.
    """
    for table, query in _NEWEST_IDS.items():
        newest = max(last_ids.get(table, 0), await tx.fetch_one(query) or 0)
        params = {"table_name": table, "last_id": newest + ID_JUMP}
        await tx.run(_ADD_SEQUENCE, **params)
        await tx.fetch(_MOVE_SEQUENCE, **params)


async def analyze(tx: Tx) -> None:
    """Let PostgreSQL plan its queries for the new contents."""
    await tx.fetch(_ANALYZE)
