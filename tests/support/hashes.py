"""What a password's hash costs here: next to nothing, unless a test asks for the product's own."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import argon2
import pytest

from dragoman.rules import passwords

_REAL = (passwords._hasher, passwords.DUMMY_HASH)
_CHEAP_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_CHEAP = (_CHEAP_HASHER, _CHEAP_HASHER.hash("nobody knows it"))


@contextlib.contextmanager
def _using(hasher: argon2.PasswordHasher, dummy: str) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", hasher)
        patch.setattr(passwords, "DUMMY_HASH", dummy)
        yield


def cheap_hashes() -> contextlib.AbstractContextManager[None]:
    """Hash with argon2 as ever, but with 64 KiB: most tests make people by the dozen."""
    return _using(*_CHEAP)


def real_hashes() -> contextlib.AbstractContextManager[None]:
    """Hash as the product does, which is what a server in a process of its own does anyway."""
    return _using(*_REAL)


def memory_cost_kib() -> int:
    """Return the memory that a hash takes just now, in KiB: it tells the two apart."""
    return passwords._hasher.memory_cost
