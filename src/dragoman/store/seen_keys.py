"""A private table on the disk of the keys that the rows of a file have claimed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2 as sqlite3

CACHE_KIB = 32_768
"""Memory for pages of the table, in KiB; the other pages are on the disk."""


class Claim(msgspec.Struct, frozen=True):
    """Which row has claimed a key: its line, and a digest of all of its values."""

    line: int
    digest: int


class SeenKeys:
    """Maps keys, signed 64-bit integers, to the row that claimed each first.

    The file is private and unlinked, as that of ``TemporaryLookup``. Two keys may be equal by
    chance: ``check``, another 64 bits of the same key, tells them apart.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:  # mode 0700
            path = Path(directory, "seen.db")
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            run = self._connection.execute
            run("PRAGMA journal_mode = OFF")
            run("PRAGMA synchronous = OFF")
            run(f"PRAGMA cache_size = -{CACHE_KIB}")
            run(
                "CREATE TABLE claims (key INTEGER PRIMARY KEY, check_bits INTEGER NOT NULL,"
                " line INTEGER NOT NULL, digest INTEGER NOT NULL) STRICT"
            )
            run("CREATE TABLE verdicts (line INTEGER PRIMARY KEY, earlier INTEGER NOT NULL) STRICT")
        run("BEGIN")

    def find(self, keys: Sequence[tuple[int, int]]) -> dict[int, Claim]:
        """Return the claims on these keys, by key; each comes with its ``check``."""
        checks = dict(keys)
        found = self._connection.execute(
            "SELECT key, check_bits, line, digest FROM claims"
            " WHERE key IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(sorted(checks)),),
        )
        return {
            key: Claim(line, digest)
            for key, check_bits, line, digest in found
            if check_bits == checks[key]
        }

    def claim(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """Store claims (key, check, line, digest); a key that is claimed already stays so."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", sorted(rows)
        )

    def keep_verdicts(self, verdicts: Sequence[tuple[int, int]]) -> None:
        """Store what was found: (line, the earlier line, negative if both rows are equal)."""
        self._connection.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", verdicts)

    def verdict(self, line: int) -> int:
        """Return what was stored for a line, or 0."""
        row = self._connection.execute(
            "SELECT earlier FROM verdicts WHERE line = ?", (line,)
        ).fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        """Remove the table from the disk."""
        self._connection.close()
