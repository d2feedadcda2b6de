"""kill -9 in a storm of writes: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.faults import invariants, write_load
from tests.faults.admin_credentials import add_permanent_owner, sign_in_everywhere
from tests.faults.contract_requests import VERBS
from tests.faults.journal import Journal
from tests.faults.write_load import WriteLoad
from tests.support.processes import environment, wait_for, workers
from tests.support.server import Server, dragoman_command
from tests.support.server import environment as environment_of

CYCLES = int(os.environ.get("FAULT_KILLS", "4"))
MORE_CYCLES = 6
"""How many more at most, until every contract has changed something."""
SEED = int(os.environ.get("FAULT_SEED", "20"))
READY_S = 3.0
"""A server that was killed is ready again after so many seconds."""
FRESH = 50
"""After so many cycles credentials are taken anew: some of them live for an hour."""

pytestmark = pytest.mark.faults


@pytest.mark.timeout(180 + 30 * (CYCLES + MORE_CYCLES))
def test_nothing_acknowledged_is_lost(database: str, tmp_path: Path) -> None:
    """All processes die at once, at random moments, and start again on what they left."""
    journal = Journal(SEED)
    moments = random.Random(SEED)
    waits: list[float] = []
    server = Server(environment(database), tmp_path, "--workers", "2")
    server.start()
    try:
        token, tenant = write_load.sign_in_as_admin(server.url)
        opened = sign_in_everywhere(server.url, database)
        add_permanent_owner(journal, server.url, opened, tenant)
        for cycle in range(CYCLES + MORE_CYCLES):
            if cycle >= CYCLES and contracts_used(journal) == VERBS.keys():
                break
            if cycle and cycle % FRESH == 0:
                opened = sign_in_everywhere(server.url, database)
            with WriteLoad(
                journal, server.url, token, tenant, writers=8, admin_credentials=opened
            ) as blowing:
                enough = write_load.Progress(blowing, each=2)
                assert enough.wait(30), f"no progress\n{server.output()}"
                time.sleep(moments.uniform(0.0, 0.5))
                server.kill()
            waits.append(seconds_to_start(server))
            context = f"cycle {cycle}, seed {SEED}, {dict(journal.statuses)}"
            assert invariants.resolve_in_doubt(journal, database) == [], context
            assert invariants.database_problems(journal, database) == [], context
            assert journal.unexpected_answers == [], context
        assert contracts_used(journal) == VERBS.keys()
        assert invariants.server_problems(journal, server.url, token) == []
        assert doctor_problems(database) == []
        assert '"bug"' not in server.output()
        server.stop()
    finally:
        server.kill()
    report(journal, waits)
    assert sorted(waits)[len(waits) // 2] <= READY_S, waits


@pytest.mark.timeout(120)
def test_a_dead_worker_is_replaced(database: str, tmp_path: Path) -> None:
    """One of two workers dies: the other goes on, a new one comes, nothing is lost."""
    journal = Journal(SEED)
    server = Server(environment(database), tmp_path, "--workers", "2")
    server.start()
    try:
        token, tenant = write_load.sign_in_as_admin(server.url)
        with WriteLoad(journal, server.url, token, tenant, writers=4) as blowing:
            for _ in range(2):
                assert write_load.Progress(blowing).wait(30), f"no progress\n{server.output()}"
                before = workers(server)
                os.kill(before[0], signal.SIGKILL)
                assert wait_for(partial(worker_replaced, server, before), 10), "no new worker came"
            assert write_load.Progress(blowing).wait(30), f"no progress\n{server.output()}"
        assert httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200
        assert invariants.resolve_in_doubt(journal, database) == []
        assert invariants.database_problems(journal, database) == []
        assert invariants.server_problems(journal, server.url, token) == []
        assert journal.unexpected_answers == []
        server.stop()
    finally:
        server.kill()


def contracts_used(journal: Journal) -> set[str]:
    """Return the contracts through which something was done."""
    return {each.partition(" ")[0] for each in journal.done}


def worker_replaced(server: Server, before: list[int]) -> bool:
    """Say whether the first of the workers is gone and there are as many as before."""
    now = workers(server)
    return before[0] not in now and len(now) == len(before)


def seconds_to_start(server: Server) -> float:
    """Start a server; return after how long it was ready, but for what others took of the cores."""
    began = time.monotonic()
    server.start()
    took = time.monotonic() - began
    return took - cpu_wait_s(server.pid) - min(map(cpu_wait_s, workers(server)), default=0.0)


def cpu_wait_s(pid: int) -> float:
    """Return for how many seconds a process could have run and got no core."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def report(journal: Journal, waits: list[float]) -> None:
    """Print what was done, for whoever runs the long form."""
    done = ", ".join(f"{what} {n}" for what, n in sorted(journal.done.items()))
    print(f"{len(waits)} kills; ready after {min(waits):.1f} to {max(waits):.1f} s; done: {done}")


def doctor_problems(database: str) -> list[str]:
    """Return what ``dragoman doctor`` finds broken."""
    result = subprocess.run(
        [*dragoman_command(), "doctor", "-o", "json"],
        env=environment_of(environment(database)),
        capture_output=True,
        timeout=60,
        check=False,
    )
    found = msgspec.json.decode(result.stdout)
    broken = [str(each) for each in found if each["state"] == "fail"]
    return broken or ([result.stderr.decode()] if result.returncode else [])
