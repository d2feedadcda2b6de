"""/metrics of a server with several workers: all of them count, also those that were replaced."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import metric_samples, processes
from tests.support.metric_samples import value
from tests.support.server import Server

REQUESTS = "dragoman_http_requests_total"
ROUNDS = 30
PATIENCE_S = 10.0

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are not forked"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real server with two workers."""
    with processes.checked_server("sqlite:///d.db", tmp_path, workers=2) as server:
        yield server


def scraped(server: Server) -> metric_samples.Samples:
    return metric_samples.parse(httpx.get(f"{server.url}/metrics").text)


def ask(server: Server, path: str) -> None:
    """Ask on connections of their own, so that both workers come to it."""
    for _ in range(ROUNDS):
        assert httpx.get(f"{server.url}{path}").status_code in {401, 404}


def counted(server: Server, contract: str, expected: int) -> bool:
    """Wait until a number of requests is counted: a client may be faster than the counter.

    Neither worker may say more, in whatever order they are asked.
    """

    def seen() -> float:
        found = value(scraped(server), REQUESTS, contract=contract)
        assert found <= expected
        return found

    return processes.wait_for(lambda: seen() == expected, PATIENCE_S) and all(
        seen() == expected for _ in range(8)
    )


def test_every_request_is_counted_exactly_also_after_a_worker_was_replaced(server: Server) -> None:
    ask(server, "/vsay/v1/users")
    assert counted(server, "vsay", ROUNDS)
    first, second = processes.workers(server)
    os.kill(first, signal.SIGKILL)
    assert processes.wait_for(lambda: first not in processes.workers(server), PATIENCE_S)
    assert processes.wait_for(
        lambda: value(scraped(server), "dragoman_worker_replacements_total") == 1, PATIENCE_S
    )
    ask(server, "/vsay/v1/users")
    assert counted(server, "vsay", 2 * ROUNDS)
    assert second in processes.workers(server)
    found = scraped(server)
    names = {dict(pairs).get("process") for name, pairs in found if name.startswith("process_")}
    assert names == {"main", "worker-1", "worker-2"}
    assert value(found, "dragoman_queue_capacity", queue="writes") == 2


def test_nothing_is_left_of_a_killed_server(server: Server, tmp_path: Path) -> None:
    ask(server, "/vsay/v1/users")
    server.kill()
    files = {path.name for path in tmp_path.iterdir()}
    assert files <= {"stdout", "stderr", "d.db", "d.db-wal", "d.db-shm"}
    server.start()
    assert value(scraped(server), REQUESTS, contract="vsay") == 0
