"""A directory on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.settings import Settings


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    async with app.open_directory(settings) as directory:
        yield directory
