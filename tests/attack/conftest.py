"""What is attacked: a real server, and an application inside the tests; each for a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.attack.attacked_app import AppWithCredentials, AttackedApp
from tests.attack.credentials import collect_credentials
from tests.support.databases import BACKENDS, DatabaseTemplates, settings_for
from tests.support.processes import checked_server
from tests.support.rows import open_rows
from tests.support.running_app import running_client
from tests.support.server import Server
from tests.support.world import World


@pytest.fixture(scope="module")
def attacked_server(
    real_hashes: None,
    database_templates: DatabaseTemplates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, World]]:
    """One worker on SQLite with the world in it, and who lives there.

    It must neither find a bug in itself nor end before it is told to.
    """
    folder: Path = tmp_path_factory.mktemp("attacked")
    with (
        database_templates.seeded("sqlite") as (database, world),
        checked_server(database, folder) as server,
    ):
        yield server, world
        assert "Traceback" not in server.output(), server.output()


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS],
)
def module_seeded_database(
    database_templates: DatabaseTemplates, request: pytest.FixtureRequest
) -> Iterator[tuple[str, World]]:
    """The URL of a database with the world in it, and that world; each of the two in turn."""
    with database_templates.seeded(request.param) as found:
        yield found


@pytest.fixture(scope="module")
async def attacked_app(module_seeded_database: tuple[str, World]) -> AsyncIterator[AttackedApp]:
    """All contracts on such a database; what tests do to it must not matter to others."""
    database, world = module_seeded_database
    settings = settings_for(database, refresh_grace=0)  # a used refresh token is spent at once
    rows = await open_rows(database)
    try:
        async with running_client(settings) as client:
            yield AttackedApp(client, rows, world, settings)
    finally:
        await rows.close()


@pytest.fixture(scope="module")
async def app_with_credentials(attacked_app: AttackedApp) -> AppWithCredentials:
    """The same with a purse."""
    return AppWithCredentials(
        attacked_app,
        await collect_credentials(
            attacked_app.client, attacked_app.rows, attacked_app.settings, attacked_app.world
        ),
    )
