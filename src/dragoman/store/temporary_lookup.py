"""A private table of keys and values on the disk, for joining two files of any size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import itemgetter

from dragoman.store.private_file import open_private_file

CACHE_KIB = 4_096
BATCH = 20_000
"""Entries that are sorted before they are inserted, so that each page is visited once a batch."""
_TABLE = "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"


class TemporaryLookup:
    """Maps texts to texts; the last value of a key counts."""

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        """Read all entries; the memory does not grow with their number."""
        self._connection = open_private_file(_TABLE, cache_kib=CACHE_KIB)
        remaining = iter(entries)
        # Sorting is stable: of equal keys, the last one stays the last.
        while rows := sorted(islice(remaining, BATCH), key=itemgetter(0)):
            self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", rows)

    def find(self, key: str) -> str | None:
        """Return the last value of the key, or None."""
        found = self._connection.execute(
            "SELECT value FROM entries WHERE key = ?", (key,)
        ).fetchone()
        return found[0] if found else None

    def close(self) -> None:
        """Remove the table from the disk."""
        self._connection.close()
