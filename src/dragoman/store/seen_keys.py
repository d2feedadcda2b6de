"""A private table on the disk of the keys that the rows of a file have claimed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.store.private_file import open_private_file

CACHE_KIB = 4_096
RUN_LENGTH = 50_000
"""Claims that are kept in memory, and then written sorted: appending visits each page once."""
FILTER_BITS = 27
"""Binary logarithm of the number of bits in the filter (16 MiB)."""
_MASK = (1 << FILTER_BITS) - 1
_CLAIMS = """
CREATE TABLE claims (
    run INTEGER NOT NULL,
    key INTEGER NOT NULL,
    check_bits INTEGER NOT NULL,
    line INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID
"""
_RUNS = "CREATE TABLE runs (run INTEGER PRIMARY KEY) STRICT"


class SeenKeys:
    """Maps keys, signed 64-bit integers, to the row that claimed each first: line and digest.

    Two keys may be equal by chance: ``check``, another 64 bits of the same key, tells them apart.
    Both must be uniformly distributed.

    Most keys of a file are new, which a Bloom filter of two bits a key tells without looking into
    the table. After ten million keys it is wrong about 2 % of the new ones, which are then looked
    up in vain.
    """

    def __init__(self) -> None:
        self._connection = open_private_file(_CLAIMS, _RUNS, cache_kib=CACHE_KIB)
        self._filter = bytearray(1 << (FILTER_BITS - 3))
        self._recent: dict[int, tuple[int, int, int]] = {}
        self._runs = 0

    def find(self, keys: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """Return line and digest of the rows that have claimed these keys, by key.

        Args:
            keys: each with its ``check``.
        """
        bits = self._filter
        maybe = {
            key: check
            for key, check in keys
            if bits[(key & _MASK) >> 3] >> (key & 7) & 1
            and bits[(check & _MASK) >> 3] >> (check & 7) & 1
        }
        if not maybe:
            return {}
        found = [(key, *self._recent[key]) for key in maybe if key in self._recent]
        if self._runs:
            found += self._connection.execute(
                "SELECT claims.key, check_bits, line, digest FROM json_each(?) AS wanted"
                " CROSS JOIN runs CROSS JOIN claims"
                " WHERE claims.run = runs.run AND claims.key = wanted.value",
                (msgspec.json.encode(sorted(maybe)),),
            )
        return {key: (line, digest) for key, check, line, digest in found if check == maybe[key]}

    def claim(self, rows: Sequence[tuple[int, int, int, int]]) -> None:
        """Store claims (key, check, line, digest) on keys that are not claimed yet."""
        bits, recent = self._filter, self._recent
        for key, check, line, digest in rows:
            recent[key] = check, line, digest
            bits[(key & _MASK) >> 3] |= 1 << (key & 7)
            bits[(check & _MASK) >> 3] |= 1 << (check & 7)
        if len(recent) >= RUN_LENGTH:
            self._write_run()

    def _write_run(self) -> None:
        run = self._connection.execute
        self._runs += 1
        run("INSERT INTO runs VALUES (?)", (self._runs,))
        self._connection.executemany(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?)",
            ((self._runs, key, *self._recent[key]) for key in sorted(self._recent)),
        )
        self._recent.clear()

    def close(self) -> None:
        """Remove the table from the disk."""
        self._connection.close()
