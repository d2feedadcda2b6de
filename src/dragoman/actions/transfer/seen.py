"""Finds the rows of one file that name the same person; the memory does not grow with the file."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import TracebackType

from dragoman.actions.transfer.identity import encoded_values, identify, repeated
from dragoman.actions.transfer.records import ImportedUser, Outcome
from dragoman.store.seen_keys import SeenKeys


class SeenRows:
    """The rows of a file that were seen already; a context manager.

    A row names the person of an earlier one if they share a username, e-mail address, id or
    public id, in the ways in which these are unique in the directory.
    """

    def __init__(self) -> None:
        self._keys = SeenKeys()
        self._salt = secrets.token_hex(8)

    def __enter__(self) -> SeenRows:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._keys.close()

    def add(self, rows: Sequence[ImportedUser]) -> list[Outcome | None]:
        """Add rows in the order of the file, and return for each what an earlier row makes of it.

        None for a row that is the first of its person; SKIPPED for one whose fields all equal
        those of an earlier row; REFUSED with ``duplicate`` for another one, which claims nothing.
        """
        hashed = [[self._hash(key) for key in identify(row).keys] for row in rows]
        claims = self._keys.find([key for keys in hashed for key in keys])
        outcomes: list[Outcome | None] = []
        new_claims: list[tuple[int, int, int, int]] = []
        for row, keys in zip(rows, hashed, strict=True):
            digest = hash(encoded_values(row))
            earlier = [claims[key] for key, _ in keys if key in claims]
            if earlier:
                first_line = min(line for line, _ in earlier)
                equal = all(other == digest for _, other in earlier)
                outcomes.append(repeated(row.line, first_line, equal=equal))
                continue
            claim = row.line, digest
            for key, check in keys:
                claims[key] = claim
                new_claims.append((key, check, *claim))
            outcomes.append(None)
        self._keys.claim(new_claims)
        return outcomes

    def _hash(self, key: str) -> tuple[int, int]:
        """Return 128 bits that are uniformly distributed: Python's hash is a keyed SipHash."""
        return hash(key), hash(key + self._salt)
