"""Fixtures for tests of the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import DatabaseTemplates
from tests.support.terminal import Terminal


@pytest.fixture(autouse=True)
def _restore_umask() -> Iterator[None]:
    """Restore the umask, which commands change when they run in this process."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture
def terminal(database: str, tmp_path: Path) -> Terminal:
    """A terminal on each database in turn, with the first superadmin and the tenant main."""
    return Terminal(database, tmp_path)


@pytest.fixture
def sqlite_terminal(database_templates: DatabaseTemplates, tmp_path: Path) -> Iterator[Terminal]:
    """The same on SQLite only, for tests that do not depend on the database."""
    with database_templates.empty("sqlite") as url:
        yield Terminal(url, tmp_path)
