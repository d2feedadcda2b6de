"""A browser at the console, in the world of the other tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.console.browser import Browser
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World


@pytest.fixture
async def browser(seeded_database: tuple[str, World]) -> AsyncGenerator[Browser]:
    """A browser that has not signed in."""
    async with running_client(settings_for(seeded_database[0])) as client:
        yield Browser(client)
