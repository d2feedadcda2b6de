"""PgBouncer in transaction mode between server and PostgreSQL: as if it were not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.postgres import PostgresDriver
from tests.faults import aftermath, storm
from tests.faults.caller import serving
from tests.faults.storm import Journal, Storm
from tests.faults.writes import Writer, all_writes, first_writes
from tests.support.databases import query
from tests.support.postgresql_bouncer import OLDEST, POOL, bouncing, version
from tests.support.world import World

pytestmark = [
    pytest.mark.faults,
    pytest.mark.postgresql,
    pytest.mark.timeout(120),
    pytest.mark.skipif(version() < OLDEST, reason="no PgBouncer >= 1.21 (make faults fetches one)"),
]

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])


@only_postgresql
def test_every_write_of_every_contract(inhabited: tuple[str, World], tmp_path: Path) -> None:
    database, world = inhabited
    with (
        bouncing(database) as url,
        serving(url, tmp_path, workers=2) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        writer = Writer(http, world)
        assert writer.served([*first_writes(world), *all_writes(world)]) == []


@only_postgresql
def test_a_storm(database: str, tmp_path: Path) -> None:
    """More clients than connections: every transaction may run on another one than the last."""
    journal = Journal(seed=13)
    with bouncing(database) as url, serving(url, tmp_path, workers=2) as server:
        token, tenant = storm.enter(server.url)
        with Storm(journal, server.url, token, tenant, forgiving=True) as blowing:
            assert storm.Progress(blowing, 12).wait(30), f"no progress\n{server.said()}"
            used = asyncio.run(query(database, "SELECT count(*) FROM pg_stat_activity"
                                     " WHERE datname = current_database()"))[0][0]  # fmt: skip
            assert used <= POOL + 1
        assert aftermath.settle(journal, database) == []
        assert aftermath.damage(journal, database) == []
        assert aftermath.heard(journal, server.url, token) == []
        assert journal.surprises == []


@only_postgresql
@pytest.mark.parametrize("missing", ["ignore_startup_parameters"])
def test_the_settings_are_needed(database: str, missing: str) -> None:
    """Without this one nobody gets in, which is told as any database that cannot serve."""

    async def enter(url: str) -> None:
        await PostgresDriver(url).open()

    with bouncing(database, **{missing: ""}) as url, pytest.raises(Unavailable):
        asyncio.run(enter(url))
