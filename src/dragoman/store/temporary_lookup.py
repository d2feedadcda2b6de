"""A private table of keys and values on the disk, for joining two files of any size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite3

CACHE_KIB = 4_096
"""Memory for pages of the table, in KiB; the other pages are on the disk."""
BATCH = 20_000
"""Entries that are sorted before they are inserted, so that each page is visited once a batch."""


class TemporaryLookup:
    """Maps texts to texts; the last value of a key counts.

    Only the owner of the process can read the file, and its name is removed as soon as it is
    open, so that nothing is left behind however the process ends. It lies where ``TMPDIR`` says.
    (SQLite's own nameless databases stay in memory with pysqlite3: SQLITE_TEMP_STORE=3.)
    The table may be used by several threads, by one at a time.
    """

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        """Read all entries; the memory does not grow with their number."""
        with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:  # mode 0700
            path = Path(directory, "lookup.db")
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            run = self._connection.execute
            run("PRAGMA journal_mode = OFF")
            run("PRAGMA synchronous = OFF")
            run(f"PRAGMA cache_size = -{CACHE_KIB}")
            run(
                "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
                " STRICT, WITHOUT ROWID"
            )
        run("BEGIN")
        remaining = iter(entries)
        # Sorting is stable: of equal keys, the last one stays the last.
        while rows := sorted(islice(remaining, BATCH), key=itemgetter(0)):
            self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", rows)
        run("COMMIT")

    def find(self, key: str) -> str | None:
        """Return the last value of the key, or None."""
        found = self._connection.execute(
            "SELECT value FROM entries WHERE key = ?", (key,)
        ).fetchone()
        return found[0] if found else None

    def close(self) -> None:
        """Remove the table from the disk."""
        self._connection.close()
