"""Bare COPY: all rows of the users table into a table with the same columns and no index."""

from __future__ import annotations

import asyncio
import tempfile
from time import perf_counter
from typing import Any

import asyncpg


def rate(url: str) -> float:
    """Return the rows per second of a COPY into an empty table without indexes, commit included."""
    return asyncio.run(_rate(url))


async def _rate(url: str) -> float:
    connection: Any = await asyncpg.connect(url)
    try:
        with tempfile.TemporaryFile() as rows:
            await connection.copy_from_table("users", output=rows, format="binary")
            rows.seek(0)
            await connection.execute("CREATE TABLE bare_copy (LIKE users)")
            began = perf_counter()
            copied = await connection.copy_to_table("bare_copy", source=rows, format="binary")
            took = perf_counter() - began
            await connection.execute("DROP TABLE bare_copy")
    finally:
        await connection.close()
    return round(int(copied.rpartition(" ")[2]) / took, 1)
