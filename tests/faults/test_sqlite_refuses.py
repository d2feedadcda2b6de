"""An SQLite file that cannot be written to: reads go on, writes are refused, soon."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import aftermath
from tests.faults.caller import (
    GROWING,
    NOBODY,
    READS,
    SIGN_IN,
    SOON_S,
    WRITES,
    Caller,
    calling,
    serving,
)
from tests.faults.processes import workers

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

HOLD = """
import sys
from pysqlite3 import dbapi2
connection = dbapi2.connect(sys.argv[1], isolation_level=None)
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
    with calling(database, tmp_path) as caller:
        assert caller.works(*READS, *WRITES, SIGN_IN) == []
        with write_lock(database):
            began = time.monotonic()
            assert caller.works(*READS) == []
            assert time.monotonic() - began < SOON_S
            assert caller.health() == (200, 200)
            assert caller.refused(WRITES[0], SIGN_IN) == []
            assert caller.refused_together(*WRITES, *WRITES, SIGN_IN) == []
        assert caller.works(*READS, *WRITES, SIGN_IN) == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_disk_is_full(database: str, tmp_path: Path) -> None:
    """No file can grow, not even the log: reads go on, writes are refused, nothing is torn."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system cannot limit another process")
    with (
        serving(database, tmp_path, log_level="info") as server,
        contextlib.closing(Caller(server)) as caller,
    ):
        assert caller.works(*READS, *GROWING) == []
        processes = [server.pid, *workers(server)]
        full = resource.RLIMIT_FSIZE
        usual = {pid: resource.prlimit(pid, full) for pid in processes}
        for pid, (_, hard) in usual.items():
            resource.prlimit(pid, full, (1, hard))
        try:
            assert caller.works(*READS, NOBODY) == []
            assert caller.refused(*GROWING, *GROWING) == []
            assert caller.works(*READS, NOBODY) == []
        finally:
            for pid, limits in usual.items():
                resource.prlimit(pid, full, limits)
        assert caller.works(*READS, *GROWING, NOBODY) == []
        assert aftermath.integrity(database) == []
