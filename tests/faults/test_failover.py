"""A primary dies and its synchronous standby takes over: no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dragoman.rules.errors import Unavailable
from dragoman.store import migrate
from dragoman.store.drivers.hosts import Hosts
from tests.faults import invariants, write_load
from tests.faults.probe_client import MISSING_USER, READS, SIGN_IN, WRITES, probing
from tests.faults.write_load import Journal, WriteLoad
from tests.support.postgresql_replication import ReplicationPair, replication_pair
from tests.support.processes import checked_server, wait_for
from tests.support.server import free_port

ROUNDS = int(os.environ.get("FAULT_FAILOVERS", "1"))
"""How often each way of dying, on the same data, with the roles changed every time."""
BACK_S = 10.0
"""Writes are served again after so many seconds from the promotion on."""

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(90 + 60 * ROUNDS)]


@pytest.fixture(scope="module")
def pair() -> Iterator[ReplicationPair]:
    """A primary and its synchronous standby, which these tests may break."""
    with replication_pair() as servers:
        yield servers


@pytest.mark.parametrize("end", ["killed", "silent"])
def test_a_standby_takes_over_in_a_storm(pair: ReplicationPair, tmp_path: Path, end: str) -> None:
    """The primary's processes die, or its machine falls silent; both addresses stay in the DSN."""
    journal = Journal(seed=11)
    database, beside = pair.database(f"storm_{end}"), pair.database(f"calls_{end}")
    for name in ("storm", "calls"):
        (tmp_path / name).mkdir()
    with (
        checked_server(database, tmp_path / "storm", workers=2) as server,
        probing(beside, tmp_path / "calls") as caller,
    ):
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN, MISSING_USER) == []
        token, tenant = write_load.sign_in_as_admin(server.url)
        for _ in range(ROUNDS):
            pair.wait_until_synchronous()
            with WriteLoad(journal, server.url, token, tenant, allow_unavailable=True) as blowing:
                assert write_load.Progress(blowing, 2).wait(30), f"no progress\n{server.output()}"
                dead = pair.primary
                dead.kill() if end == "killed" else dead.freeze()
                assert (
                    caller.not_unavailable_concurrently(*READS, *WRITES, SIGN_IN, MISSING_USER)
                    == []
                )
                assert caller.health() == (200, 503)
                pair.fail_over()
                began, goal = time.monotonic(), _done(journal) + len(blowing.writers)
                assert wait_for(lambda: not caller.unexpected_answers(WRITES[0]), BACK_S), (
                    "no write"
                )
                assert wait_for(lambda: _done(journal) >= goal, BACK_S), dict(journal.statuses)  # noqa: B023
                assert time.monotonic() - began < BACK_S
            assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN, MISSING_USER) == []
            dead.kill()  # a primary that wakes up beside its successor has to be fenced off
            pair.follow()
        assert invariants.resolve_in_doubt(journal, database) == []
        assert invariants.database_problems(journal, database) == []
        assert invariants.server_problems(journal, server.url, token) == []
        assert journal.unexpected_answers == []
        assert set(journal.statuses) <= {200, 201, 204, 400, 503}


def test_nobody_has_to_say_that_a_primary_is_wanted(pair: ReplicationPair) -> None:
    """Whichever of several hosts answers first; a standby that is wanted can be asked for."""

    async def standbys(dsn: str) -> list[bool]:
        hosts, found = Hosts(dsn), []
        for _ in range(2):
            connection = await hosts.connect(timeout=BACK_S)
            found.append(await connection.fetchval("SELECT pg_is_in_recovery()"))
            await connection.close()
        return found

    one, other = pair.primary.port, pair.standby.port
    plain = f"postgresql://dragoman@127.0.0.1:{other},127.0.0.1:{one}/postgres"
    assert asyncio.run(standbys(plain)) == [False, False]
    assert asyncio.run(standbys(f"{plain}?target_session_attrs=standby")) == [True, True]
    assert asyncio.run(standbys(f"postgresql://dragoman@127.0.0.1:{other}/postgres"))[0]


def test_a_start_before_the_promotion_is_told_so(pair: ReplicationPair) -> None:
    """The one host refuses, and the other one takes no writes yet."""
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{pair.standby.port}"
    with pytest.raises(Unavailable):
        asyncio.run(migrate.current_revision(f"postgresql://dragoman@{hosts}/postgres"))


def _done(journal: Journal) -> int:
    return sum(number for status, number in journal.statuses.items() if status < 300)


def test_without_the_standby_nothing_is_acknowledged(pair: ReplicationPair, tmp_path: Path) -> None:
    """What the primary alone has written down is promised to nobody; reads go on."""
    with probing(pair.database("alone"), tmp_path) as caller, ThreadPoolExecutor(1) as pool:
        assert caller.unexpected_answers(*READS, *WRITES) == []
        pair.standby.kill()
        asked = pool.submit(caller.ask, WRITES[0])
        assert caller.unexpected_answers(*READS) == []
        assert not wait_for(asked.done, 2) or asked.result().status_code == 503
        pair.standby.start()
        pair.wait_until_synchronous()
        assert asked.result(30).status_code in {200, 503}
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
