"""The stored form of argon2id over a weak hash."""

from __future__ import annotations

from dragoman.rules.imported_hashes import algorithms, stored_forms
from dragoman.rules.imported_hashes.verification import recognise


def split(encoded: str) -> tuple[str, str] | None:
    """Return the prefix of the wrapped form and the hexadecimal digest to hash; None for others.

    Only hashes of a single round of SHA with a salt are weak enough to be wrapped.
    """
    try:
        found = recognise(encoded)
        if found is None or found.prepared.preparations:
            return None
        if found.hash_format.matches is not algorithms.ssha:
            return None
        digest, salt = algorithms.split_ssha(found.match)
    except ValueError:
        return None
    name = found.match["name"].lower()
    return f"wrapped_{name}${stored_forms.encode(salt)}", digest.hex()
