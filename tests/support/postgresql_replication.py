"""Two PostgreSQL servers: a primary and its synchronous standby, and what can happen to them.

Both live in the folder of one embedded server, whose guard ends them with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from dragoman import app
from tests.support import postgresql_guard as guard
from tests.support.databases import settings_for
from tests.support.postgresql import PostgreSQL
from tests.support.server import free_port

PATIENCE_S = 30.0


class Node:
    """One of the two: its folder's name and its port."""

    def __init__(self, folder: Path, uid: int | None, name: str, port: int) -> None:
        self._folder = folder
        self._uid = uid
        self.name = name
        self.port = port
        self._frozen: list[int] = []

    @property
    def url(self) -> str:
        """Where its own owner connects, standby or not."""
        return f"postgresql://dragoman@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = self._folder / f"{self.name}.log"
        log.touch()
        if self._uid is not None:
            os.chown(log, self._uid, self._uid)
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(log), "-o", f"-p {self.port}", "start")

    def promote(self) -> None:
        """Make a primary of a standby; wait until it is one."""
        self._run("pg_ctl", "-w", "-t", "60", "promote")

    def start_replica_of(self, primary: Node) -> None:
        """Take a base backup of a primary, and follow it from its first start on."""
        shutil.rmtree(self._folder / self.name, ignore_errors=True)
        self._make_folder()
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "dragoman",
                  "-X", "stream", "-c", "fast", "-R", "--no-sync")  # fmt: skip

    def _make_folder(self) -> None:
        place = self._folder / self.name
        place.mkdir(mode=0o700)
        if self._uid is not None:
            os.chown(place, self._uid, self._uid)

    def _run(self, program: str, *arguments: str) -> None:
        guard._run(self._folder, self._uid, program, *arguments, data=self.name)

    def execute(self, statement: str) -> list[Any]:
        """Run a statement as the server's owner and return its rows."""

        async def run() -> list[Any]:
            connection: Any = await asyncpg.connect(self.url, timeout=PATIENCE_S)
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        return asyncio.run(run())

    def freeze(self) -> None:
        """Let none of its processes run, as if the machine had lost its power or its network."""
        for pid in _processes(self._folder / self.name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self._frozen.append(pid)

    def kill(self) -> None:
        """End all its processes by SIGKILL, frozen or not; it will never speak again."""
        kill_server(self._folder / self.name, frozen=self._frozen)
        self._frozen.clear()
        (self._folder / self.name / "postmaster.pid").unlink(missing_ok=True)


def kill_server(data: Path, frozen: Iterable[int] = ()) -> None:
    """End all processes of the server with this data folder by SIGKILL, and some others."""
    for pid in dict.fromkeys((*_processes(data), *frozen)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE_S
    while any(_is_running(pid) for pid in _processes(data)):
        assert time.monotonic() < end, f"the server in {data} does not die"
        time.sleep(0.02)


def _processes(data: Path) -> list[int]:
    """Return a server's processes, the main one first; none if it has ended."""
    try:
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    except (FileNotFoundError, IndexError):
        return []
    return [postmaster, *map(int, children)]


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class ReplicationPair:
    """The primary and its standby; after a failover they have changed places."""

    def __init__(self, server: PostgreSQL) -> None:
        server.url()
        folder, uid = Path(server.facts["folder"]), server.facts["uid"]
        self.primary = Node(folder, uid, "data", server.facts["port"])
        self.standby = Node(folder, uid, "standby", free_port())
        self._hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        self.follow()

    def url(self, name: str) -> str:
        """Return the URL of a database on whichever of the two takes writes."""
        return f"postgresql://dragoman@{self._hosts}/{name}?target_session_attrs=read-write"

    def database(self, name: str) -> str:
        """Return the URL of a new database, migrated, with the first superadmin in it."""
        self.primary.execute(f'CREATE DATABASE "{name}"')
        asyncio.run(app.migrate_and_bootstrap(settings_for(self.url(name))))
        return self.url(name)

    def follow(self) -> None:
        """Make the standby anew as a copy of the primary, which from then on waits for it."""
        self.standby.start_replica_of(self.primary)
        self.standby.start()
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        self.wait_until_synchronous()

    def wait_until_synchronous(self) -> None:
        """Wait until every commit waits for the standby."""
        asked = "SELECT sync_state FROM pg_stat_replication"
        end = time.monotonic() + PATIENCE_S
        while [row[0] for row in self.primary.execute(asked)] != ["sync"]:
            assert time.monotonic() < end, "the standby does not follow"
            time.sleep(0.05)

    def fail_over(self) -> None:
        """Make the standby the primary. The old one is dead, or must be before it wakes up."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary


@contextlib.contextmanager
def replication_pair() -> Iterator[ReplicationPair]:
    """Run such a pair for the length of a block."""
    server = PostgreSQL()
    try:
        made = ReplicationPair(server)
        try:
            yield made
        finally:
            for node in (made.primary, made.standby):
                node.kill()
    finally:
        server.stop()
