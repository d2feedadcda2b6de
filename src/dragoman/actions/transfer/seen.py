"""Finds the rows of one file that name the same person; the memory does not grow with the file."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from hashlib import blake2b
from types import TracebackType

from dragoman.actions.transfer.identity import identify, repeated, row_digest
from dragoman.actions.transfer.records import ImportedUser, Outcome
from dragoman.store.seen_keys import Claim, SeenKeys

_TWO_INTEGERS = struct.Struct(">qq")


class SeenRows:
    """The rows of a file that were seen already; a context manager.

    A row names the person of an earlier one if they share a username, e-mail address, id or
    public id, in the ways in which these are unique in the directory.
    """

    def __init__(self) -> None:
        self._keys = SeenKeys()
        self._hash_key = secrets.token_bytes(32)

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
        verdicts: list[tuple[int, int]] = []
        for row, keys in zip(rows, hashed, strict=True):
            digest, _ = _TWO_INTEGERS.unpack(row_digest(row, self._hash_key))
            earlier = [claims[key] for key, _ in keys if key in claims]
            if not earlier:
                claims |= dict.fromkeys((key for key, _ in keys), Claim(row.line, digest))
                new_claims += [(key, check, row.line, digest) for key, check in keys]
                outcomes.append(None)
                continue
            first = min(earlier, key=lambda claim: claim.line)
            equal = all(claim.digest == digest for claim in earlier)
            verdicts.append((row.line, -first.line if equal else first.line))
            outcomes.append(repeated(row.line, first.line, equal=equal))
        self._keys.claim(new_claims)
        self._keys.keep_verdicts(verdicts)
        return outcomes

    def again(self, rows: Sequence[ImportedUser]) -> list[Outcome | None]:
        """Return what ``add`` has returned for these rows: for the second pass over the file."""
        return [self._recall(row.line) for row in rows]

    def _recall(self, line: int) -> Outcome | None:
        earlier_line = self._keys.verdict(line)
        if not earlier_line:
            return None
        return repeated(line, abs(earlier_line), equal=earlier_line < 0)

    def _hash(self, key: str) -> tuple[int, int]:
        encoded = key.encode("utf-8", "surrogatepass")
        return _TWO_INTEGERS.unpack(blake2b(encoded, key=self._hash_key, digest_size=16).digest())
