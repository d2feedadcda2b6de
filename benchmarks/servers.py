"""A server in processes of its own: started, waited for, ended; its databases made and dropped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from tests.support.postgresql import PostgreSQL, with_database

VARIABLE = "DRAGOMAN_BENCH_POSTGRESQL"
PATIENCE_S = 60.0


class Target(msgspec.Struct, frozen=True):
    """A server to measure: where it answers, its first process, and everybody's credential."""

    name: str
    url: str
    pid: int
    tokens: dict[str, str]


def postgresql() -> PostgreSQL:
    """Return the server that the environment names, else one of our own, not yet started."""
    return PostgreSQL(os.environ.get(VARIABLE, ""))


@contextlib.contextmanager
def database(server: PostgreSQL, name: str) -> Generator[str]:
    """Make an empty database and yield its URL; it is dropped after."""
    unique = f"dragoman_bench_{name}_{os.getpid()}"
    asyncio.run(_execute(server.url(), f'CREATE DATABASE "{unique}" TEMPLATE template0'))
    try:
        yield with_database(server.url(), unique)
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


@contextlib.contextmanager
def serving(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, ready: str
) -> Generator[int]:
    """Run a server for the length of a block; yields the id of its first process.

    Args:
        command: what starts it.
        environment: its settings; none of the caller's ``DRAGOMAN_…`` are passed on.
        folder: where it runs and writes ``output``.
        ready: the address that answers 200 once it serves.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
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
        _wait(process, ready, folder)
        yield process.pid
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], ready: str, folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(ready, timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{ready} does not answer\n{(folder / 'output').read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it by SIGTERM, and whatever of its group is left after that by SIGKILL."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def worked(pid: int) -> float:
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
    return own + sum(worked(int(child)) for child in children)
