"""An SQLite file that cannot be written to: reads go on, writes are refused, soon."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import invariants
from tests.faults.probe_client import (
    GROWING,
    MAX_ANSWER_S,
    MISSING_USER,
    READS,
    SIGN_IN,
    WRITES,
    ProbeClient,
    probing,
)
from tests.support.processes import checked_server, workers

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

HOLD = """
import sys
from dragoman.store.drivers import sqlite_library
connection = sqlite_library.connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def write_lock(database: str) -> Iterator[None]:
    """Let another process hold the write lock of an SQLite file."""
    command = [sys.executable, "-c", HOLD, database.removeprefix("sqlite:///")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.communicate(timeout=10)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_another_process_writes_to_sqlite(database: str, tmp_path: Path) -> None:
    """Reads go on as if nothing were; writes are refused, however many wait."""
    with probing(database, tmp_path) as caller:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
        with write_lock(database):
            began = time.monotonic()
            assert caller.unexpected_answers(*READS) == []
            assert time.monotonic() - began < MAX_ANSWER_S
            assert caller.health() == (200, 200)
            assert caller.not_unavailable(WRITES[0], SIGN_IN) == []
            assert caller.not_unavailable_concurrently(*WRITES, *WRITES, SIGN_IN) == []
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_disk_is_full(database: str, tmp_path: Path) -> None:
    """No file can grow, not even the log: reads go on, writes are refused, nothing is torn."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system cannot limit another process")
    with (
        checked_server(database, tmp_path, log_level="info") as server,
        contextlib.closing(ProbeClient(server)) as caller,
    ):
        assert caller.unexpected_answers(*READS, *GROWING) == []
        processes = [server.pid, *workers(server)]
        full = resource.RLIMIT_FSIZE
        usual = {pid: resource.prlimit(pid, full) for pid in processes}
        for pid, (_, hard) in usual.items():
            resource.prlimit(pid, full, (1, hard))
        try:
            assert caller.unexpected_answers(*READS, MISSING_USER) == []
            assert caller.not_unavailable(*GROWING, *GROWING) == []
            assert caller.unexpected_answers(*READS, MISSING_USER) == []
        finally:
            for pid, limits in usual.items():
                resource.prlimit(pid, full, limits)
        assert caller.unexpected_answers(*READS, *GROWING, MISSING_USER) == []
        assert invariants.sqlite_problems(database) == []
