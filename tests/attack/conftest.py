"""What is attacked: a real server, and an application inside the tests; each for a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.attack.bench import Bench, Stage
from tests.attack.purse import fill
from tests.authorization.rows import open_rows
from tests.faults import caller
from tests.support.databases import BACKENDS, Shelf, settings_for
from tests.support.running import running
from tests.support.server import Server
from tests.support.world import World


@pytest.fixture(scope="module")
def attacked(
    real_hashes: None, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, World]]:
    """One worker on SQLite with the world in it, and who lives there.

    It must neither find a bug in itself nor end before it is told to.
    """
    folder: Path = tmp_path_factory.mktemp("attacked")
    with shelf.inhabited("sqlite") as (database, world), caller.serving(database, folder) as server:
        yield server, world
        assert "Traceback" not in server.said(), server.said()


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS],
)
def peopled(shelf: Shelf, request: pytest.FixtureRequest) -> Iterator[tuple[str, World]]:
    """The URL of a database with the world in it, and that world; each of the two in turn."""
    with shelf.inhabited(request.param) as found:
        yield found


@pytest.fixture(scope="module")
async def stage(peopled: tuple[str, World]) -> AsyncIterator[Stage]:
    """All contracts on such a database; what tests do to it must not matter to others."""
    database, world = peopled
    settings = settings_for(database)
    rows = await open_rows(database)
    try:
        async with running(settings) as client:
            yield Stage(client, rows, world, settings)
    finally:
        await rows.close()


@pytest.fixture(scope="module")
async def bench(stage: Stage) -> Bench:
    """The same with a purse."""
    return Bench(stage, await fill(stage.client, stage.rows, stage.settings, stage.world))
