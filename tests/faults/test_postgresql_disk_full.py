"""No room left for PostgreSQL's tables: what cannot be written is refused, and nothing is torn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dragoman import app
from tests.faults import invariants, write_load
from tests.faults.write_load import Journal, WriteLoad
from tests.support.databases import settings_for
from tests.support.postgresql import PostgreSQL, url_for_database
from tests.support.processes import checked_server, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(120)]

SMALL_MB = 40
ENOUGH = 12
"""So many refusals are enough to believe that the disk is full."""


@pytest.fixture
def small_disk_database() -> Iterator[str]:
    """The URL of a migrated database on a small disk of its own."""
    server = PostgreSQL(small_mb=SMALL_MB)
    try:
        url = server.url()
        if not server.facts["small"]:
            pytest.skip("this system lets nobody mount a disk of his own")
        for statement in (
            f"CREATE TABLESPACE small LOCATION '{server.facts['small']}'",
            "CREATE DATABASE full_soon TABLESPACE small",
        ):
            asyncio.run(run(url, statement))
        url = url_for_database(url, "full_soon")
        asyncio.run(app.migrate_and_bootstrap(settings_for(url)))
        yield url
    finally:
        server.stop()


async def run(url: str, statement: str) -> None:
    """Run a statement on a connection of its own."""
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def fill(url: str) -> None:
    """Write pages that nobody needs until there is not room for one more."""
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE filler (t text STORAGE PLAIN)")
        for pages in (1000, 100, 10, 1):
            with pytest.raises(asyncpg.DiskFullError):
                for _ in range(SMALL_MB * 200):
                    await connection.execute(
                        "INSERT INTO filler SELECT repeat('x', 7900) FROM generate_series(1, $1)",
                        pages,
                    )
    finally:
        await connection.close()


def test_a_storm_on_a_full_disk(small_disk_database: str, tmp_path: Path) -> None:
    journal = Journal(seed=17)
    with checked_server(small_disk_database, tmp_path) as server:
        token, tenant = write_load.sign_in_as_admin(server.url)
        with WriteLoad(journal, server.url, token, tenant, allow_unavailable=True) as blowing:
            assert write_load.Progress(blowing, 2).wait(30), f"no progress\n{server.output()}"
            asyncio.run(fill(small_disk_database))
            before = journal.statuses[503]
            full = wait_for(lambda: journal.statuses[503] >= before + ENOUGH, 30)
            assert full, dict(journal.statuses)
            asyncio.run(run(small_disk_database, "DROP TABLE filler"))
            assert write_load.Progress(blowing, 4).wait(30), f"no progress\n{server.output()}"
        assert invariants.resolve_in_doubt(journal, small_disk_database) == []
        assert invariants.database_problems(journal, small_disk_database) == []
        assert invariants.server_problems(journal, server.url, token) == []
        assert journal.unexpected_answers == []
        assert set(journal.statuses) <= {200, 201, 204, 400, 503}
