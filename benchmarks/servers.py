"""Starts and ends servers in their own processes, and creates and drops their databases."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from tests.support.postgresql import PostgreSQL, url_for_database

VARIABLE = "DRAGOMAN_BENCH_POSTGRESQL"
PATIENCE_S = 60.0


class UnreadyError(Exception):
    """A server did not start, or something that it needs is missing; the message says why."""


MAX_SETTLE_S = 20.0
_ACTIVE_QUERIES = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Target(msgspec.Struct, frozen=True):
    """A running server to measure.

    Attributes:
        name: name in tables.
        request_family: the API that it has (`scenarios.py`).
        url: base URL.
        pid: id of its first process.
        ready_s: seconds from its start to its first answer.
        tokens: ``Authorization`` values, by caller.
    """

    name: str
    request_family: str
    url: str
    pid: int
    ready_s: float
    tokens: dict[str, str]


class FilledDatabase(msgspec.Struct, frozen=True):
    """A filled database; ``serve(workers)`` is a context manager that runs a server on it.

    ``filled_s`` is the time to load the users, with indexes (seconds).
    """

    name: str
    request_family: str
    database: str
    filled_s: float
    serve: Callable[[int], AbstractContextManager[Target]]


def postgresql() -> PostgreSQL:
    """Return the server that the environment names, else one of our own that is not started yet."""
    return PostgreSQL(os.environ.get(VARIABLE, ""))


@contextlib.contextmanager
def database(server: PostgreSQL, name: str) -> Generator[str]:
    """Create an empty database, yield its URL, and drop it."""
    unique = f"dragoman_bench_{name}_{os.getpid()}"
    asyncio.run(_execute(server.url(), f'CREATE DATABASE "{unique}" TEMPLATE template0'))
    try:
        yield url_for_database(server.url(), unique)
    finally:
        asyncio.run(_execute(server.url(), f'DROP DATABASE "{unique}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def settle(url: str) -> None:
    """Bring a freshly filled database to the state that autovacuum and checkpoints produce."""
    await _execute(url, "VACUUM ANALYZE")
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await _execute(url, "CHECKPOINT")


def wait_until_idle(url: str) -> None:
    """Wait until a PostgreSQL is idle, at most ``MAX_SETTLE_S``.

    Statements of a slow target may still run when its clients have gone; they must not slow the
    next measurement.
    """
    asyncio.run(_wait_until_idle(url))


async def _wait_until_idle(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    end = time.monotonic() + MAX_SETTLE_S
    try:
        while await connection.fetchval(_ACTIVE_QUERIES) and time.monotonic() < end:
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


@contextlib.contextmanager
def serving(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, port: int
) -> Generator[tuple[int, float]]:
    """Run a server while the context is open.

    Yields the id of its first process, and the seconds until ``/readyz`` answered 200.

    Args:
        command: the command that starts it.
        environment: its settings; the caller's ``DRAGOMAN_…`` variables are not passed on.
        folder: its working directory, which gets the file ``output``.
        port: the port on which it listens.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    began = time.perf_counter()
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches only this process, which ends the server
        )
    try:
        _wait(process, port, folder)
        yield process.pid, round(time.perf_counter() - began, 2)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
        time.sleep(0.02)
    said = (folder / "output").read_text(errors="replace")
    raise UnreadyError(f"no server is ready on port {port}\n{said[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with SIGTERM, then what is left of its process group with SIGKILL."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and its children so far; 0 without /proc.

    On a shared machine this figure is more stable than wall clock times.
    """
    place = Path("/proc") / str(pid)
    try:
        times = place.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        children = place.joinpath("task", str(pid), "children").read_text().split()
    except OSError:
        return 0.0
    own = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def worker_memory_mb(pid: int, workers: int) -> list[float]:
    """Return the memory (RSS, MB) of each of a server's workers; empty without /proc."""
    held: list[float] = []
    place = Path("/proc") / str(pid)
    try:
        for child in place.joinpath("task", str(pid), "children").read_text().split():
            status_text = Path("/proc", child, "status").read_text()
            line = next(line for line in status_text.splitlines() if line.startswith("VmRSS:"))
            held.append(round(int(line.split()[1]) * 1024 / 1e6, 1))
    except (OSError, StopIteration):
        return []
    return sorted(held, reverse=True)[:workers]
