"""One ground for each database and all tests of a module: every cell leaves it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.authorization.fixtures import SeededApp, running_seeded_app
from tests.support.databases import BACKENDS, DatabaseTemplates
from tests.support.world import World

ON = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS]


@pytest.fixture(scope="module", params=ON)
def module_seeded_database(
    database_templates: DatabaseTemplates, request: pytest.FixtureRequest
) -> Iterator[tuple[str, World]]:
    """A database with the world in it, for all tests of a module."""
    with database_templates.seeded(request.param) as found:
        yield found


@pytest.fixture(scope="module")
async def seeded_app(module_seeded_database: tuple[str, World]) -> AsyncIterator[SeededApp]:
    """A running application with everybody in it, on each of the two databases."""
    async with running_seeded_app(*module_seeded_database) as running_app:
        yield running_app
