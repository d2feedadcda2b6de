"""Reads whole tables for a backup, page by page, in the order of their keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from dragoman.store.query import Query, Row, bind
from dragoman.store.schema import failures, metadata, one_time, tokens
from dragoman.store.transaction import Snapshot

NOT_IN_BACKUPS = frozenset({tokens.name, one_time.name, failures.name})
"""Credentials, links and failed sign-ins: none of them outlives a restore."""
TABLES: tuple[sa.Table, ...] = tuple(
    table for table in metadata.sorted_tables if table.name not in NOT_IN_BACKUPS
)
"""The tables of a backup; a table that refers to another one comes after it."""
PAGE_ROWS = 500
"""Maximum number of rows per statement."""
INTEGER, TEXT, BOOLEAN, BYTES = "integer", "text", "boolean", "bytes"

_REVISION: Query[str] = Query(sa.text("SELECT version_num FROM alembic_version"), indexed=True)
_LAST_IDS: Query[tuple[str, int]] = Query(
    sa.text(
        "SELECT replace(sequencename::text, '_id_seq', ''), coalesce(last_value, 0)"
        " FROM pg_sequences WHERE schemaname = current_schema()"
    ),
    lambda row: (row[0], row[1]),
    sqlite=sa.text("SELECT name, seq FROM sqlite_sequence"),
)
_INTEGRITY: Query[str] = Query(sa.text("SELECT 'ok'"), sqlite=sa.text("PRAGMA integrity_check(1)"))


def column_type(column: sa.Column[Any]) -> str:
    """Return the type of a column as backups name it."""
    match column.type:
        case sa.Boolean():
            return BOOLEAN
        case sa.Integer():
            return INTEGER
        case sa.LargeBinary():
            return BYTES
        case _:
            return TEXT


class _TableQueries:
    """The statements that read one table."""

    def __init__(self, table: sa.Table) -> None:
        keys = list(table.primary_key.columns)
        self._key_positions = [list(table.columns).index(key) for key in keys]
        self._key_names = [f"after_{n}" for n in range(len(keys))]
        flags = [n for n, column in enumerate(table.columns) if column_type(column) == BOOLEAN]

        def row_values(row: Row) -> list[Any]:
            values = list(row)
            for n in flags:  # numbers on SQLite
                if values[n] is not None:
                    values[n] = bool(values[n])
            return values

        ordered = sa.select(*table.columns).order_by(*keys).limit(bind("limit"))
        after = [
            bind(name, type(key.type)) for name, key in zip(self._key_names, keys, strict=True)
        ]
        beyond = keys[0] > after[0] if len(keys) == 1 else sa.tuple_(*keys) > sa.tuple_(*after)
        self.first: Query[list[Any]] = Query(ordered, row_values)
        self.next: Query[list[Any]] = Query(ordered.where(beyond), row_values)
        self.count: Query[int] = Query(sa.select(sa.func.count()).select_from(table))

    def key_params(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the parameters that continue after a row."""
        parts = [values[n] for n in self._key_positions]
        return dict(zip(self._key_names, parts, strict=True))


@cache
def _queries(table: sa.Table) -> _TableQueries:
    return _TableQueries(table)


async def pages(snapshot: Snapshot, table: sa.Table) -> AsyncGenerator[list[list[Any]]]:
    """Yield the rows of a table in pages of at most ``PAGE_ROWS``; each row is a list of values."""
    queries = _queries(table)
    page = await snapshot.fetch(queries.first, limit=PAGE_ROWS)
    while page:
        yield page
        if len(page) < PAGE_ROWS:
            return
        page = await snapshot.fetch(queries.next, limit=PAGE_ROWS, **queries.key_params(page[-1]))


async def count(snapshot: Snapshot, table: sa.Table) -> int:
    """Return the number of rows of a table."""
    return await snapshot.fetch_one(_queries(table).count) or 0


async def revision(snapshot: Snapshot) -> str:
    """Return the newest migration that was applied."""
    return await snapshot.fetch_one(_REVISION) or ""


async def last_ids(snapshot: Snapshot) -> dict[str, int]:
    """Return the newest id that was ever given out, by table."""
    return dict(await snapshot.fetch(_LAST_IDS))


async def integrity(snapshot: Snapshot) -> str:
    """Return what is wrong with a SQLite file, or ``ok``; PostgreSQL checks pages by itself."""
    return await snapshot.fetch_one(_INTEGRITY) or ""
