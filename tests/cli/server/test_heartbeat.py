"""Hung workers: noticed by their counts, killed and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from dragoman.cli.server import heartbeat
from dragoman.cli.server.heartbeat import MAX_MISSED, Heartbeats
from tests.support import server as servers
from tests.support.processes import wait_for, workers
from tests.support.server import Server

IMPATIENT = """
from dragoman.cli.server import heartbeat
heartbeat.BEAT_S, heartbeat.MAX_MISSED = 0.1, 20
from dragoman.cli.main import main
main()
"""


class IdleLoop(asyncio.SelectorEventLoop):
    """An event loop in which nothing is called later."""

    def call_later(self, *_: Any, **__: Any) -> Any:
        """Do nothing."""


def beat(counts: Heartbeats, worker: int) -> None:
    loop = IdleLoop()
    counts.beat(worker, loop)
    loop.close()


def test_a_worker_hangs_if_its_count_stands_still() -> None:
    counts = Heartbeats(2)
    for _ in range(MAX_MISSED - 1):
        beat(counts, 0)
        assert counts.look() == []
    beat(counts, 0)
    assert counts.look() == [1]
    assert counts.look() == []


def test_a_worker_that_is_started_anew_has_all_the_time() -> None:
    counts = Heartbeats(1)
    for _ in range(MAX_MISSED - 1):
        assert counts.look() == []
    counts.reset(0)
    assert counts.look() == []


def test_an_event_loop_counts_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.001)
    monkeypatch.setattr(heartbeat, "MAX_MISSED", 1)
    counts = Heartbeats(1)

    async def run() -> None:
        counts.beat(0, asyncio.get_running_loop())
        for _ in range(3):
            await asyncio.sleep(0.1)
            assert counts.look() == []

    asyncio.run(run())
    assert counts.look() == [0]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_hung_worker_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_hashes: None
) -> None:
    monkeypatch.setattr(servers, "dragoman_command", lambda: [sys.executable, "-c", IMPATIENT])
    server = Server({"DRAGOMAN_ANONYMOUS_RATE": "off"}, tmp_path, "--workers", "2", installed=True)
    server.start()
    try:
        hung, healthy = workers(server)
        os.kill(hung, signal.SIGSTOP)

        def is_replaced() -> bool:
            now = workers(server)
            return hung not in now and healthy in now and len(now) == 2

        assert wait_for(is_replaced, 20), server.output()
        for _ in range(10):
            assert httpx.get(f"{server.url}/readyz", timeout=10).status_code == 200
        assert '"event":"worker_hangs"' in server.output()
        server.stop()
    finally:
        server.kill()
