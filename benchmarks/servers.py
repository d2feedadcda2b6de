"""A server in processes of its own: started, waited for, ended; its databases made and dropped."""

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
    """A server that did not come up, or what it needs is not to be had; says why."""


MAX_SETTLE_S = 20.0
_AT_WORK = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Target(msgspec.Struct, frozen=True):
    """A server to measure: where it answers, its first process, and everybody's credential.

    ``family`` says in which words it is asked (`scenarios.py`); ``tokens`` holds whole
    ``Authorization`` values; ``ready_s`` is how long it took from its start to its first answer.
    """

    name: str
    request_family: str
    url: str
    pid: int
    ready_s: float
    tokens: dict[str, str]


class FilledDatabase(msgspec.Struct, frozen=True):
    """A filled database and how it is served: ``serve(workers)`` does so for a block's length.

    ``filled_s`` is how long it took to load the people, indexes included.
    """

    name: str
    request_family: str
    database: str
    filled_s: float
    serve: Callable[[int], AbstractContextManager[Target]]


def postgresql() -> PostgreSQL:
    """Return the server that the environment names, else one of our own, not yet started."""
    return PostgreSQL(os.environ.get(VARIABLE, ""))


@contextlib.contextmanager
def database(server: PostgreSQL, name: str) -> Generator[str]:
    """Make an empty database and yield its URL; it is dropped after."""
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
    """Leave a freshly filled database as a while of autovacuum and checkpoints would."""
    await _execute(url, "VACUUM ANALYZE")
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await _execute(url, "CHECKPOINT")


def wait_until_idle(url: str) -> None:
    """Wait until a PostgreSQL works for nobody, at most ``REST_S``.

    Who asked a slow target is gone before its last statements have ended: they are not to be
    counted against whoever is measured next.
    """
    asyncio.run(_wait_until_idle(url))


async def _wait_until_idle(url: str) -> None:
    connection: Any = await asyncpg.connect(url)
    end = time.monotonic() + MAX_SETTLE_S
    try:
        while await connection.fetchval(_AT_WORK) and time.monotonic() < end:
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


@contextlib.contextmanager
def serving(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, port: int
) -> Generator[tuple[int, float]]:
    """Run a server for the length of a block.

    Yields the id of its first process, and the seconds until ``/readyz`` answered 200.

    Args:
        command: what starts it.
        environment: its settings; none of the caller's ``DRAGOMAN_…`` are passed on.
        folder: where it runs and writes ``output``.
        port: where it listens.
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
            start_new_session=True,  # Ctrl-C is for us; we end it
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
    raise UnreadyError(f"nothing is ready at port {port}\n{said[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it by SIGTERM, and whatever of its group is left after that by SIGKILL."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cpu_seconds(pid: int) -> float:
    """Return how many seconds a process and its children have worked so far; 0 without /proc.

    A machine that is shared changes this figure less than it changes times.
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
    """Return what the workers of a server hold in memory, in MB (RSS); empty without /proc."""
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
