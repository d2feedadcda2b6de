"""kill -9 in a storm of writes: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.faults import aftermath, storm
from tests.faults.processes import environment, wait_for, workers
from tests.faults.storm import Journal, Storm
from tests.support.server import Server

CYCLES = int(os.environ.get("FAULT_CYCLES", "4"))
SEED = int(os.environ.get("FAULT_SEED", "20"))
READY_S = 3.0
"""A server that was killed is ready again after so many seconds."""

pytestmark = pytest.mark.faults


@pytest.mark.timeout(60 + 20 * CYCLES)
def test_nothing_acknowledged_is_lost(database: str, tmp_path: Path) -> None:
    """All processes die at once, at random moments, and start again on what they left."""
    journal = Journal(SEED)
    moments = random.Random(SEED)
    waits: list[float] = []
    server = Server(environment(database), tmp_path, "--workers", "2")
    server.start()
    try:
        token, tenant = storm.enter(server.url)
        for cycle in range(CYCLES):
            with Storm(journal, server.url, token, tenant) as blowing:
                enough = storm.Progress(blowing)
                assert enough.wait(30), f"no progress\n{server.said()}"
                time.sleep(moments.uniform(0.1, 0.7))
                server.kill()
            began = time.monotonic()
            server.start()
            waits.append(time.monotonic() - began)
            context = f"cycle {cycle}, seed {SEED}, {dict(journal.statuses)}"
            assert aftermath.settle(journal, database) == [], context
            assert aftermath.damage(journal, database) == [], context
            assert journal.surprises == [], context
        assert aftermath.heard(journal, server.url, token) == []
        assert '"bug"' not in server.said()
        server.stop()
    finally:
        server.kill()
    assert min(waits) <= READY_S, waits


@pytest.mark.timeout(120)
def test_a_dead_worker_is_replaced(database: str, tmp_path: Path) -> None:
    """One of two workers dies: the other goes on, a new one comes, nothing is lost."""
    journal = Journal(SEED)
    server = Server(environment(database), tmp_path, "--workers", "2")
    server.start()
    try:
        token, tenant = storm.enter(server.url)
        with Storm(journal, server.url, token, tenant, writers=4) as blowing:
            for _ in range(2):
                assert storm.Progress(blowing).wait(30), f"no progress\n{server.said()}"
                before = workers(server)
                os.kill(before[0], signal.SIGKILL)
                assert wait_for(partial(replaced, server, before), 10), "no new worker came"
            assert storm.Progress(blowing).wait(30), f"no progress\n{server.said()}"
        assert httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200
        assert aftermath.settle(journal, database) == []
        assert aftermath.damage(journal, database) == []
        assert aftermath.heard(journal, server.url, token) == []
        assert journal.surprises == []
        server.stop()
    finally:
        server.kill()


def replaced(server: Server, before: list[int]) -> bool:
    """Say whether the first of the workers is gone and there are as many as before."""
    now = workers(server)
    return before[0] not in now and len(now) == len(before)
