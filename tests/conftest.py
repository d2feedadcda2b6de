"""What every test can ask for: a database, an application, the world; see ``support/``."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.settings import Settings
from tests.support import hashes, memory_folder
from tests.support import postgresql as servers
from tests.support.databases import BACKENDS, DatabaseTemplates, settings_for
from tests.support.postgresql import PostgreSQL
from tests.support.running_app import running_client
from tests.support.world import World

SLOW_FIRST = ("faults", "cli/server", "house/test_new_dialect.py", "test_benchmarks.py")
"""What takes longest: begun last, one such test would run on after all others have ended."""
POSTGRESQL_KEY = pytest.StashKey[PostgreSQL]()


def pytest_configure(config: pytest.Config) -> None:
    """Get a PostgreSQL ready: one for all processes of this run, started when it is needed."""
    for name in BACKENDS:
        config.addinivalue_line("markers", f"{name}: runs on this database")
    if config.pluginmanager.hasplugin("hypothesispytest"):
        _lift_deadlines()
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[POSTGRESQL_KEY] = (
        PostgreSQL(given["postgresql"]) if given else servers.from_environment()
    )


def _lift_deadlines() -> None:
    """Let examples take as long as they do: beside other work, anything may take 200 ms."""
    from hypothesis import settings

    if settings.default is not None and settings.default.deadline is not None:
        settings.register_profile("suite", settings.default, deadline=None)
        settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow modules first; the order is kept otherwise."""
    here = Path(__file__).parent
    slow = tuple(str(here / name) for name in SLOW_FIRST)
    items.sort(key=lambda item: not str(item.path).startswith(slow))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the PostgreSQL is."""
    node.workerinput["postgresql"] = node.config.stash[POSTGRESQL_KEY].url()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it, where it is ours."""
    if POSTGRESQL_KEY in config.stash:
        config.stash[POSTGRESQL_KEY].stop()


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("DRAGOMAN_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_ssl_context() -> Iterator[None]:
    """Let all HTTP clients share one SSL context: each would take 70 ms, and no test uses TLS."""
    with pytest.MonkeyPatch.context() as patch:
        shared = functools.cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", shared)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Hash cheaply, but where ``real_hashes`` is asked for."""
    with hashes.cheap_hashes():
        yield


@pytest.fixture(scope="module")
def real_hashes() -> Iterator[None]:
    """Hash as the product does: for a whole module, as it must where servers run of their own."""
    with hashes.real_hashes():
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests and fixtures run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> PostgreSQL:
    """The PostgreSQL server of this run; ``url()`` may create databases."""
    return pytestconfig.stash[POSTGRESQL_KEY]


@pytest.fixture(scope="session")
def database_templates(postgresql: PostgreSQL) -> Iterator[DatabaseTemplates]:
    """The templates of databases, and copies of them."""
    with tempfile.TemporaryDirectory(
        prefix="dragoman-databases-", dir=memory_folder.temporary_root()
    ) as folder:
        templates = DatabaseTemplates(Path(folder), postgresql)
        yield templates
        templates.close()


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in BACKENDS])
def backend(request: pytest.FixtureRequest) -> str:
    """Each of the two databases in turn."""
    return request.param


@pytest.fixture
def database(database_templates: DatabaseTemplates, backend: str) -> Iterator[str]:
    """The URL of a migrated database with the first superadmin in it and nothing else."""
    with database_templates.empty(backend) as url:
        yield url


@pytest.fixture
def blank_database(database_templates: DatabaseTemplates, backend: str) -> Iterator[str]:
    """The URL of a database without tables; on SQLite, of a file that is not there yet."""
    with database_templates.blank(backend) as url:
        yield url


@pytest.fixture
def seeded_database(
    database_templates: DatabaseTemplates, backend: str
) -> Iterator[tuple[str, World]]:
    """The URL of a database with the world of ``support/world.py`` in it, and that world."""
    with database_templates.seeded(backend) as found:
        yield found


@pytest.fixture
def settings(database: str) -> Settings:
    """The settings of an application on that empty database."""
    return settings_for(database)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that runs with those settings."""
    async with running_client(settings) as client:
        yield client
