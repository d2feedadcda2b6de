"""SQLite's write-ahead log: how commits reach the disk, and how it is emptied."""

from __future__ import annotations

from typing import Any

BUSY_TIMEOUT_MS = 200
"""How long emptying the log waits for readers and writers, in milliseconds.

It holds the write lock while it waits for readers.
"""
_USUAL = (
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -6000",  # KiB
    "PRAGMA wal_autocheckpoint = 1000",  # pages of the log, which are then written back
)
_RELAXED = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -32000",
    "PRAGMA wal_autocheckpoint = 40000",  # a page that changes often is written back once
)


def configure(connection: Any) -> None:
    """Let commits wait for the disk."""
    for pragma in _USUAL:
        connection.execute(pragma)


def relax(connection: Any) -> None:
    """Let commits not wait for the disk: a power failure may undo the last ones, in their order."""
    for pragma in _RELAXED:
        connection.execute(pragma)


def settle(connection: Any) -> None:
    """Let what was committed reach the disk, and commits wait for it again."""
    configure(connection)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def truncate(connection: Any) -> bool:
    """Write the log back and empty it; return whether nothing was in the way."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def data_version(connection: Any) -> int:
    """Return a number that changes when another connection commits."""
    return connection.execute("PRAGMA data_version").fetchone()[0]
