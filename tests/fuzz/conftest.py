"""How much is asked: by ``FUZZ_REQUESTS``, by ``FUZZ_SEED`` others than in every run."""

from __future__ import annotations

import os

import pytest

SEED = 20
REQUESTS = 5_000
"""Of all tests of this folder that count theirs together."""


@pytest.fixture(scope="session")
def request_count() -> int:
    """How many requests there are to be in all."""
    return int(os.environ.get("FUZZ_REQUESTS", REQUESTS))


@pytest.fixture(scope="session")
def seed() -> int:
    """Where the dice begin."""
    return int(os.environ.get("FUZZ_SEED", SEED))
