"""PgBouncer in transaction mode before a PostgreSQL, with the settings that ``docs/operations.md`` names."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.support import postgresql_guard as guard
from tests.support.server import free_port

PROGRAM = "pgbouncer"
OLDEST = (1, 21)
"""The first that knows the prepared statements of a client in transaction mode."""
POOL = 4
PATIENCE_S = 10.0
SETTINGS = {
    "pool_mode": "transaction",
    "max_prepared_statements": "200",
    "ignore_startup_parameters": "jit,lock_timeout,plan_cache_mode",
}


def version() -> tuple[int, int]:
    """Return which PgBouncer there is on this machine; (0, 0) for none."""
    program = shutil.which(PROGRAM)
    if program is None:
        return (0, 0)
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"PgBouncer (\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@contextlib.contextmanager
def bouncing(url: str, **changes: str) -> Iterator[str]:
    """Run one before the server of a URL; yield the URL of the same database through it.

    It has fewer connections to the server than its clients have to it.
    """
    parts = urlsplit(url)
    port = free_port()
    program = shutil.which(PROGRAM)
    assert program is not None
    folder, uid = guard._settle()
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "default_pool_size": str(POOL),
        "logfile": str(folder / "log"),
        **SETTINGS,
        **changes,
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    place = f"* = host={parts.hostname} port={parts.port} user={parts.username}"
    config = folder / "pgbouncer.ini"
    config.write_text("\n".join(["[databases]", place, "[pgbouncer]", *lines]) + "\n")
    process = subprocess.Popen(
        [program, str(config)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )
    try:
        _wait(process, port, folder / "log")
        netloc = f"{parts.username}@127.0.0.1:{port}"
        yield urlunsplit(parts._replace(netloc=netloc))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    told = log.read_text() if os.path.exists(log) else ""
    raise RuntimeError(f"PgBouncer does not start\n{told}")
