"""PostgreSQL that does not serve: 503 with Retry-After, soon; and all is well when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import aftermath, storm
from tests.faults.caller import MANY, READS, RESET, SIGN_IN, WRITES, calling, serving
from tests.faults.outage import Outage, own_postgresql
from tests.faults.storm import Journal, Storm

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def outage() -> Iterator[Outage]:
    """A PostgreSQL that these tests may break."""
    with own_postgresql() as outage:
        yield outage


def test_postgresql_stops_and_starts(outage: Outage, tmp_path: Path) -> None:
    """Stopped in good order, as for maintenance; the server outlives it."""
    with calling(outage.database("stopped"), tmp_path) as caller:
        assert caller.works(*READS, *WRITES, SIGN_IN, RESET) == []
        outage.stop()
        try:
            assert caller.refused(*READS, *WRITES, SIGN_IN, RESET) == []
            assert caller.refused_together(*(READS * MANY)[:MANY], *WRITES, SIGN_IN) == []
            assert caller.health() == (200, 503)
        finally:
            outage.start()
        assert caller.comes_back()
        assert caller.works(*READS, *WRITES, SIGN_IN, RESET) == []


def test_postgresql_crashes_in_a_storm(outage: Outage, tmp_path: Path) -> None:
    """It dies under the writers; what was acknowledged is there when it has recovered."""
    journal = Journal(seed=7)
    database = outage.database("crashed")
    with serving(database, tmp_path, workers=2) as server:
        token, tenant = storm.enter(server.url)
        with Storm(journal, server.url, token, tenant, forgiving=True) as blowing:
            for _ in range(2):
                assert storm.Progress(blowing).wait(30), f"no progress\n{server.said()}"
                outage.stop("immediate")
                outage.start()
            assert storm.Progress(blowing).wait(30), f"no progress\n{server.said()}"
        assert aftermath.settle(journal, database) == []
        assert aftermath.damage(journal, database) == []
        assert aftermath.heard(journal, server.url, token) == []
        assert journal.surprises == []
        assert set(journal.statuses) <= {200, 201, 204, 400, 503}


def test_postgresql_does_not_answer(outage: Outage, tmp_path: Path) -> None:
    """Its connections stay open, but nothing comes back, as behind a network that is cut."""
    with calling(outage.database("frozen"), tmp_path) as caller:
        assert caller.works(*READS, *WRITES, SIGN_IN) == []
        outage.freeze()
        try:
            assert caller.refused_together(*READS, *WRITES, SIGN_IN) == []
            assert caller.health() == (200, 503)
        finally:
            outage.thaw()
        assert caller.comes_back()
        assert caller.works(*READS, *WRITES, SIGN_IN) == []


def test_postgresql_lets_nobody_in(outage: Outage, tmp_path: Path) -> None:
    """It runs, but this database is closed for the moment."""
    with calling(outage.database("closed"), tmp_path) as caller:
        outage.execute('ALTER DATABASE "closed" ALLOW_CONNECTIONS false')
        outage.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'"
        )
        try:
            assert caller.refused(*READS, *WRITES, SIGN_IN) == []
            assert caller.health() == (200, 503)
        finally:
            outage.execute('ALTER DATABASE "closed" ALLOW_CONNECTIONS true')
        assert caller.comes_back()
        assert caller.works(*READS, *WRITES, SIGN_IN) == []
