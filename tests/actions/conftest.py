"""Fixtures for tests of actions: an open directory and a user in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.rules.model import User
from dragoman.settings import Settings
from tests.support.people import make_tenant, make_user


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    """A directory on a migrated database with the first superadmin in it."""
    async with app.open_directory(settings) as directory:
        yield directory


@pytest.fixture
async def mia(directory: Directory) -> User:
    """A member of a tenant, with a username and an address of her own."""
    home = await make_tenant(directory, "home")
    return await make_user(directory, "mia", tenant_id=home, email="mia@example.com")
