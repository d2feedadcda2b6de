"""PgBouncer in transaction mode between server and PostgreSQL: as if it were not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.postgres import PostgresDriver
from tests.faults import invariants, write_load
from tests.faults.every_write import WriteClient, all_writes, first_writes
from tests.faults.write_load import Journal, WriteLoad
from tests.support.databases import query
from tests.support.postgresql_bouncer import MIN_VERSION, POOL, running_pgbouncer, version
from tests.support.processes import checked_server
from tests.support.world import World

pytestmark = [
    pytest.mark.faults,
    pytest.mark.postgresql,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        version() < MIN_VERSION, reason="no PgBouncer >= 1.21 (make faults fetches one)"
    ),
]

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])


@only_postgresql
def test_every_write_of_every_contract(seeded_database: tuple[str, World], tmp_path: Path) -> None:
    database, world = seeded_database
    with (
        running_pgbouncer(database) as url,
        checked_server(url, tmp_path, workers=2) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        writer = WriteClient(http, world)
        assert writer.unexpected_answers([*first_writes(world), *all_writes(world)]) == []


@only_postgresql
def test_a_storm(database: str, tmp_path: Path) -> None:
    """More clients than connections: every transaction may run on another one than the last."""
    journal = Journal(seed=13)
    with running_pgbouncer(database) as url, checked_server(url, tmp_path, workers=2) as server:
        token, tenant = write_load.sign_in_as_admin(server.url)
        with WriteLoad(journal, server.url, token, tenant, allow_unavailable=True) as blowing:
            assert write_load.Progress(blowing, 12).wait(30), f"no progress\n{server.output()}"
            used = asyncio.run(query(database, "SELECT count(*) FROM pg_stat_activity"
                                     " WHERE datname = current_database()"))[0][0]  # fmt: skip
            assert used <= POOL + 1
        assert invariants.resolve_in_doubt(journal, database) == []
        assert invariants.database_problems(journal, database) == []
        assert invariants.server_problems(journal, server.url, token) == []
        assert journal.unexpected_answers == []


@only_postgresql
@pytest.mark.parametrize("missing", ["ignore_startup_parameters"])
def test_the_settings_are_needed(database: str, missing: str) -> None:
    """Without this one nobody gets in, which is told as any database that cannot serve."""

    async def enter(url: str) -> None:
        await PostgresDriver(url).open()

    with running_pgbouncer(database, **{missing: ""}) as url, pytest.raises(Unavailable):
        asyncio.run(enter(url))
