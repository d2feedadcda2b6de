"""Loads the users into a peer's database: COPY, indexes, VACUUM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.servers import settle

HOME = Path(__file__).parents[1]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Table = tuple[str, Sequence[str], Iterable[tuple[Any, ...]]]


async def fill(url: str, tables: Iterable[Table], after: Iterable[str] = ()) -> None:
    """Copy rows into tables (name, columns, rows), run the statements in ``after``, settle."""
    connection: Any = await asyncpg.connect(url)
    try:
        for table, columns, rows in tables:
            await connection.copy_records_to_table(table, records=rows, columns=list(columns))
        for statement in after:
            await connection.execute(statement)
    finally:
        await connection.close()
    await settle(url)


def next_id(table: str) -> str:
    """Return the statement that moves a table's id sequence past the copied rows."""
    return f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"


def timestamp(microseconds: int) -> datetime:
    """Return a time as a datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def timestamp_or_none(microseconds: int) -> datetime | None:
    """Return a time as a datetime, None for 0 ("never")."""
    return timestamp(microseconds) if microseconds else None
