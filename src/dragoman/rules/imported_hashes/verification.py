"""Verification of password hashes of other systems; imported only when such a hash occurs."""

from __future__ import annotations

import re
from typing import NamedTuple

from dragoman.rules.imported_hashes import formats, preparations, spellings
from dragoman.rules.imported_hashes.formats import HashFormat
from dragoman.rules.imported_hashes.preparations import Prepared


class Recognised(NamedTuple):
    """A hash of a known format."""

    stored: str
    prepared: Prepared
    hash_format: HashFormat
    match: re.Match[str]

    @property
    def scheme(self) -> str:
        """The short name of the whole scheme."""
        return self.prepared.name_of(self.hash_format.name_of(self.match))


def recognise(encoded: str) -> Recognised | None:
    """Return the format of a hash in any of its spellings; None if there is none.

    Raises ValueError, without the hash, if it has the prefix of a format and cannot be read.
    """
    stored = spellings.to_stored(encoded)
    prepared = preparations.split(stored)
    found = formats.find(prepared.inner)
    return Recognised(stored, prepared, *found) if found else None


def verify(encoded: str, password: bytes) -> bool:
    """Return whether the hash matches the password.

    False for an unsupported or malformed hash, and for one that is more costly than those that are
    imported, unless it has a format that earlier versions verified.
    """
    try:
        found = recognise(encoded)
        if found is None:
            return False
        hash_format, match = found.hash_format, found.match
        if hash_format.relative_cost(match) > 1 and not hash_format.verified_above_limit:
            return False
        return hash_format.matches(match, found.prepared.apply(password))
    except ValueError:  # base64, salt or parameters that the library rejects
        return False
