"""What tests with real servers share: their settings, their workers, and waiting."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import SECRET_KEY
from tests.support.server import Server


def environment(database: str) -> dict[str, str]:
    """Return the settings of a server for a storm."""
    return {
        "DRAGOMAN_DATABASE": database,
        "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
        "DRAGOMAN_ANONYMOUS_RATE": "off",
        "DRAGOMAN_INVITATION_RATE": "off",  # all of them come from one administrator
        "DRAGOMAN_CONNECTIONS_PER_ADDRESS": "0",  # all of them come from one address
        "DRAGOMAN_KEEP_ALIVE": "20",
        "DRAGOMAN_LOG_LEVEL": "warning",
    }


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; say whether it came to be in time."""
    event = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        event.wait(0.02)
    return condition()


def workers(server: Server) -> list[int]:
    """Return the processes of a server that answer requests, the oldest first."""
    tasks = Path(f"/proc/{server.pid}/task")
    if not tasks.is_dir():
        pytest.skip("no /proc on this system")
    children = [
        int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()
    ]
    return sorted(pid for pid in children if b"resource_tracker" not in _command(pid))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def checked_server(
    database: str, folder: Path, workers: int = 1, log_level: str = "warning"
) -> Iterator[Server]:
    """Run a server that must not find a bug in itself, and must end well."""
    settings = {**environment(database), "DRAGOMAN_LOG_LEVEL": log_level}
    server = Server(settings, folder, "--workers", str(workers))
    server.start()
    try:
        yield server
        assert '"bug"' not in server.output(), server.output()
        server.stop()
    finally:
        server.kill()
