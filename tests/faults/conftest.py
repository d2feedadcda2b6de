"""What all of these tests have in common: servers of their own, which hash as the product does."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _real_hashes(real_hashes: None) -> None:
    """Hash so in the tests, too: the people in a database are then as the server made them."""
