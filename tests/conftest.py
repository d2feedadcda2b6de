"""What every test can ask for: a database, an application, the world; see ``support/``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.settings import Settings
from dragoman.web import resource
from dragoman.web.admission import Admission
from tests.support import hashes, memory
from tests.support import postgresql as servers
from tests.support.databases import BACKENDS, Shelf, settings_for
from tests.support.postgresql import PostgreSQL
from tests.support.running import running
from tests.support.world import World

SERVER = pytest.StashKey[PostgreSQL]()


def pytest_configure(config: pytest.Config) -> None:
    """Get a PostgreSQL ready: one for all processes of this run, started when it is needed."""
    for name in BACKENDS:
        config.addinivalue_line("markers", f"{name}: runs on this database")
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[SERVER] = PostgreSQL(given["postgresql"]) if given else servers.from_environment()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the PostgreSQL is."""
    node.workerinput["postgresql"] = node.config.stash[SERVER].url()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it, where it is ours."""
    if SERVER in config.stash:
        config.stash[SERVER].stop()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_caller() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("DRAGOMAN_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Hash cheaply, but where ``real_hashes`` is asked for."""
    with hashes.cheap():
        yield


class _Shared(Admission):
    """A loop that callers share with the server: what they work would count as its own."""

    def leave(self) -> None:
        self._gate.leave()


@pytest.fixture(scope="session", autouse=True)
def _callers_on_the_same_loop() -> Iterator[None]:
    """Within this process requests cost what they cost to begin with, however busy it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "ADMISSION", _Shared())
        yield


@pytest.fixture(scope="module")
def real_hashes() -> Iterator[None]:
    """Hash as the product does: for a whole module, as it must where servers run of their own."""
    with hashes.real():
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests and fixtures run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> PostgreSQL:
    """The PostgreSQL server of this run; ``url()`` may create databases."""
    return pytestconfig.stash[SERVER]


@pytest.fixture(scope="session")
def shelf(postgresql: PostgreSQL) -> Iterator[Shelf]:
    """The templates of databases, and copies of them."""
    with tempfile.TemporaryDirectory(prefix="dragoman-databases-", dir=memory.place()) as folder:
        shelf = Shelf(Path(folder), postgresql)
        yield shelf
        shelf.close()


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS])
def backend(request: pytest.FixtureRequest) -> str:
    """Each of the two databases in turn."""
    return request.param


@pytest.fixture
def database(shelf: Shelf, backend: str) -> Iterator[str]:
    """The URL of a migrated database with the first superadmin in it and nothing else."""
    with shelf.empty(backend) as url:
        yield url


@pytest.fixture
def blank_database(shelf: Shelf, backend: str) -> Iterator[str]:
    """The URL of a database without tables; on SQLite, of a file that is not there yet."""
    with shelf.blank(backend) as url:
        yield url


@pytest.fixture
def inhabited(shelf: Shelf, backend: str) -> Iterator[tuple[str, World]]:
    """The URL of a database with the world of ``support/world.py`` in it, and that world."""
    with shelf.inhabited(backend) as found:
        yield found


@pytest.fixture
def settings(database: str) -> Settings:
    """The settings of an application on that empty database."""
    return settings_for(database)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs with those settings."""
    async with running(settings) as client:
        yield client


@pytest.fixture
def transcripts(request: pytest.FixtureRequest) -> Path:
    """The folder of transcripts beside the test that asks."""
    return request.path.parent / "transcripts"
