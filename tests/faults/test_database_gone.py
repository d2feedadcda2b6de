"""PostgreSQL that does not serve: 503 with Retry-After, soon; and all is well when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import invariants, write_load
from tests.faults.postgresql_outage import BreakablePostgreSQL, breakable_postgresql
from tests.faults.probe_client import CONCURRENT_CALLERS, READS, RESET, SIGN_IN, WRITES, probing
from tests.faults.write_load import Journal, WriteLoad
from tests.support.processes import checked_server

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def outage() -> Iterator[BreakablePostgreSQL]:
    """A PostgreSQL that these tests may break."""
    with breakable_postgresql() as outage:
        yield outage


def test_postgresql_stops_and_starts(outage: BreakablePostgreSQL, tmp_path: Path) -> None:
    """Stopped in good order, as for maintenance; the server outlives it."""
    with probing(outage.database("stopped"), tmp_path) as caller:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN, RESET) == []
        outage.stop()
        try:
            assert caller.not_unavailable(*READS, *WRITES, SIGN_IN, RESET) == []
            assert (
                caller.not_unavailable_concurrently(
                    *(READS * CONCURRENT_CALLERS)[:CONCURRENT_CALLERS], *WRITES, SIGN_IN
                )
                == []
            )
            assert caller.health() == (200, 503)
        finally:
            outage.start()
        assert caller.wait_until_ready()
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN, RESET) == []


def test_postgresql_crashes_in_a_storm(outage: BreakablePostgreSQL, tmp_path: Path) -> None:
    """It dies under the writers; what was acknowledged is there when it has recovered."""
    journal = Journal(seed=7)
    database = outage.database("crashed")
    with checked_server(database, tmp_path, workers=2) as server:
        token, tenant = write_load.sign_in_as_admin(server.url)
        with WriteLoad(journal, server.url, token, tenant, allow_unavailable=True) as blowing:
            for _ in range(2):
                assert write_load.Progress(blowing).wait(30), f"no progress\n{server.output()}"
                outage.stop("immediate")
                outage.start()
            assert write_load.Progress(blowing).wait(30), f"no progress\n{server.output()}"
        assert invariants.resolve_in_doubt(journal, database) == []
        assert invariants.database_problems(journal, database) == []
        assert invariants.server_problems(journal, server.url, token) == []
        assert journal.unexpected_answers == []
        assert set(journal.statuses) <= {200, 201, 204, 400, 503}


def test_postgresql_does_not_answer(outage: BreakablePostgreSQL, tmp_path: Path) -> None:
    """Its connections stay open, but nothing comes back, as behind a network that is cut."""
    with probing(outage.database("frozen"), tmp_path) as caller:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
        outage.freeze()
        try:
            assert caller.not_unavailable_concurrently(*READS, *WRITES, SIGN_IN) == []
            assert caller.health() == (200, 503)
        finally:
            outage.thaw()
        assert caller.wait_until_ready()
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []


def test_postgresql_lets_nobody_in(outage: BreakablePostgreSQL, tmp_path: Path) -> None:
    """It runs, but this database is closed for the moment."""
    with probing(outage.database("closed"), tmp_path) as caller:
        outage.execute('ALTER DATABASE "closed" ALLOW_CONNECTIONS false')
        outage.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'"
        )
        try:
            assert caller.not_unavailable(*READS, *WRITES, SIGN_IN) == []
            assert caller.health() == (200, 503)
        finally:
            outage.execute('ALTER DATABASE "closed" ALLOW_CONNECTIONS true')
        assert caller.wait_until_ready()
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
