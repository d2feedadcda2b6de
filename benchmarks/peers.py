"""What all peers are filled with: the people in their words, copied, indexed, settled."""

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
    """Copy rows into tables (name, columns, rows), run statements, settle."""
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
    """Return the statement after which new rows get ids behind the copied ones."""
    return f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"


def timestamp(microseconds: int) -> datetime:
    """Return a time as drivers take it."""
    return _EPOCH + timedelta(microseconds=microseconds)


def timestamp_or_none(microseconds: int) -> datetime | None:
    """Return a time, None for "never"."""
    return timestamp(microseconds) if microseconds else None
