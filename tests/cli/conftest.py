"""What tests of the command line can ask for besides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import DatabaseTemplates
from tests.support.terminal import Terminal


@pytest.fixture(autouse=True)
def _restore_umask() -> Iterator[None]:
    """Give back what commands that run in this process take away."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture
def terminal(database: str, tmp_path: Path) -> Terminal:
    """A shell, on each database in turn, with the first superadmin and the tenant main in it."""
    return Terminal(database, tmp_path)


@pytest.fixture
def sqlite_terminal(database_templates: DatabaseTemplates, tmp_path: Path) -> Iterator[Terminal]:
    """The same on SQLite alone, where nothing depends on the database."""
    with database_templates.empty("sqlite") as url:
        yield Terminal(url, tmp_path)
