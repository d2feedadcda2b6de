"""What happens in the namespaces of ``test_patroni.py``: a cluster fails over in a storm.

``python -m tests.faults.patroni_failovers FOLDER ROUNDS`` runs two Dragoman servers on a Patroni
cluster, one of them through PgBouncer, and prints a report: one line of JSON, the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dragoman import app
from tests.faults import invariants, write_load
from tests.faults.write_clock import WriteClock
from tests.faults.write_load import Journal, WriteLoad
from tests.support.databases import query, settings_for
from tests.support.patroni.cluster import (
    MAX_PAUSE_S,
    PGBOUNCER,
    ROLE_SETTINGS,
    USER,
    Cluster,
    Machine,
    running_cluster,
)
from tests.support.processes import checked_server

DATABASE = "storm"
WRITERS = 3
BACK_S = 90.0
"""Until then a server may go without a write before this is called a failure, not a measurement."""


class Failover(msgspec.Struct, frozen=True):
    """One failover: how the old primary ended, and seconds without an acknowledged write."""

    end: str
    direct_s: float
    pgbouncer_s: float


class Report(msgspec.Struct):
    """Everything that the test judges."""

    failovers: list[Failover]
    problems: list[str]
    """What was lost or is wrong otherwise."""
    acknowledged: int
    statuses: dict[str, int]


def run(folder: Path, rounds: int) -> Report:
    """Let the primary end in each way, so many times; count what was acknowledged, and is gone."""
    journal = Journal(seed=17)
    with running_cluster(folder) as cluster:
        _make_database(cluster)
        database = cluster.url(DATABASE)
        with _servers(cluster, folder) as (direct, pooled):
            token, tenant = write_load.sign_in_as_admin(direct.url)
            clocks = [WriteClock(direct.url, token, tenant, "direct"),
                      WriteClock(pooled.url, token, tenant, "pooled")]  # fmt: skip
            for clock in clocks:
                clock.start()
            load = WriteLoad(
                journal, direct.url, token, tenant, writers=WRITERS, allow_unavailable=True
            )
            with load:
                failovers = [
                    _fail_over(cluster, end, load, clocks)
                    for _ in range(rounds)
                    for end in MAX_PAUSE_S
                ]
            for clock in clocks:
                clock.stop()
                journal.accounts.append(clock.account())
            problems = [
                *invariants.resolve_in_doubt(journal, database),
                *invariants.database_problems(journal, database),
                *invariants.server_problems(journal, direct.url, token),
                *invariants.server_problems(journal, pooled.url, token),
                *journal.unexpected_answers,
                *(problem for clock in clocks for problem in clock.lost_writes()),
                *(answer for clock in clocks for answer in clock.unexpected_answers),
            ]
    done = sum(count for status, count in journal.statuses.items() if status < 300)
    acknowledged = done + sum(clock.acknowledged_writes for clock in clocks)
    statuses = {str(status): count for status, count in journal.statuses.items()}
    return Report(failovers, problems, acknowledged, statuses)


def _make_database(cluster: Cluster) -> None:
    for statement in (
        f"CREATE DATABASE {DATABASE}",
        *(f"ALTER ROLE {USER} SET {setting}" for setting in ROLE_SETTINGS),
    ):
        asyncio.run(query(cluster.url("postgres"), statement))
    asyncio.run(app.migrate_and_bootstrap(settings_for(cluster.url(DATABASE))))


@contextlib.contextmanager
def _servers(cluster: Cluster, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Run one server that knows PostgreSQL's addresses, and one that knows PgBouncer's."""
    urls = {"direct": cluster.url(DATABASE), "pooled": cluster.url(DATABASE, port=PGBOUNCER)}
    for name in urls:
        (folder / name).mkdir()
    with (
        checked_server(urls["direct"], folder / "direct", workers=2) as direct,
        checked_server(urls["pooled"], folder / "pooled", workers=1) as pooled,
    ):
        yield direct, pooled


def _fail_over(cluster: Cluster, end: str, load: WriteLoad, clocks: list[WriteClock]) -> Failover:
    """Kill the primary's processes or cut its machine off; wait until both machines are back."""
    old = cluster.wait_until_synchronous()
    progress = write_load.Progress(load, 2)
    assert progress.wait(30), f"no progress: {dict(load.journal.statuses)}\n{cluster.logs()}"
    began = time.monotonic()
    if end == "killed":
        old.kill_postgresql()
    else:
        old.host.cut()
    new = _successor(cluster, old)
    promoted = time.monotonic()
    for clock in clocks:
        assert clock.wait_for_success(promoted, BACK_S), f"no write on {new.name}\n{cluster.logs()}"
    assert write_load.Progress(load, 2).wait(BACK_S), dict(load.journal.statuses)
    pauses = [round(clock.longest_pause(began), 1) for clock in clocks]
    old.host.mend()
    cluster.wait_until_synchronous()
    return Failover(end, *pauses)


def _successor(cluster: Cluster, old: Machine) -> Machine:
    cluster.wait(
        lambda: cluster.primary() not in {None, old}, f"no machine takes over from {old.name}"
    )
    new = cluster.primary()
    assert new is not None
    return new


def main() -> int:
    """Run as long as somebody holds our standard input; print the report."""
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=_end_with_input, args=(folder,), daemon=True).start()
    sys.stdout.write(json.dumps(msgspec.to_builtins(run(folder, rounds))) + "\n")
    return 0


def _end_with_input(folder: Path) -> None:
    while os.read(0, 1024):  # not by sys.stdin: its lock would be held at our end
        pass
    shutil.rmtree(folder, ignore_errors=True)  # it may be in memory
    os._exit(1)  # and with this process, all of the namespaces


if __name__ == "__main__":
    sys.exit(main())
