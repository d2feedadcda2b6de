"""Limits and verification of argon2 hashes in the PHC string format."""

from __future__ import annotations

import re

import argon2
from argon2.exceptions import VerificationError

PATTERN = re.compile(
    r"\$(?P<kind>argon2(?:id|i|d))(?:\$v=1[69])?"
    r"\$m=(?P<memory>[0-9]{1,7}),t=(?P<passes>[0-9]{1,3}),p=(?P<lanes>[0-9]{1,3})"
    r"\$[A-Za-z0-9+/]{8,128}\$[A-Za-z0-9+/]{8,128}"
)
MAX_MEMORY_KIB, MAX_PASSES, MAX_LANES = 256 * 1024, 10, 16
"""Maximum parameters of a hash that ``verify`` computes (3.3 s at their product)."""
MAX_COST = 3 * MAX_MEMORY_KIB
"""Maximum memory (KiB) times passes of a hash that is imported; takes 0.6 to 1.0 s of one core."""

_hasher = argon2.PasswordHasher()  # its parameters play no part in a verification


def is_supported(encoded: str) -> bool:
    """Return whether the text is an argon2 hash that ``verify`` computes."""
    match = PATTERN.fullmatch(encoded)
    if match is None:
        return False
    memory, passes, lanes = (int(number) for number in match.groups()[1:])
    return memory <= MAX_MEMORY_KIB and passes <= MAX_PASSES and lanes <= MAX_LANES


def relative_cost(match: re.Match[str]) -> float:
    """Return the cost of a hash, a match of ``PATTERN``; above 1 it is too high for an import."""
    memory, passes, lanes = (int(number) for number in match.groups()[1:])
    return max(memory * passes / MAX_COST, memory / MAX_MEMORY_KIB, lanes / MAX_LANES)


def verify(encoded: str, password: bytes) -> bool:
    """Return whether the hash matches the password; False for an unsupported or malformed hash."""
    if not is_supported(encoded):
        return False
    try:
        return _hasher.verify(encoded, password)
    except (VerificationError, ValueError):
        return False
