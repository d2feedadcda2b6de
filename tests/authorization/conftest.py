"""One ground for each database and all tests of a module: every cell leaves it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.authorization.ground import Ground, prepared
from tests.support.databases import BACKENDS, Shelf
from tests.support.world import World

ON = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS]


@pytest.fixture(scope="module", params=ON)
def settled(shelf: Shelf, request: pytest.FixtureRequest) -> Iterator[tuple[str, World]]:
    """A database with the world in it, for all tests of a module."""
    with shelf.inhabited(request.param) as found:
        yield found


@pytest.fixture(scope="module")
async def ground(settled: tuple[str, World]) -> AsyncIterator[Ground]:
    """A running application with everybody in it, on each of the two databases."""
    async with prepared(*settled) as ground:
        yield ground
