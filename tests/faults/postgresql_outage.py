"""A PostgreSQL of this test's own that can be stopped, killed, frozen and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg

from dragoman import app
from tests.support import postgresql_guard as guard
from tests.support.databases import settings_for
from tests.support.postgresql import PostgreSQL, url_for_database


class BreakablePostgreSQL:
    """The server and what can happen to it."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        self._url = server.url()
        self._folder = Path(server.facts["folder"])
        self._uid: int | None = server.facts["uid"]
        self._frozen: list[int] = []

    def database(self, name: str) -> str:
        """Return the URL of a new database, migrated, with the first superadmin in it."""
        asyncio.run(self._execute(f'CREATE DATABASE "{name}"'))
        url = url_for_database(self._url, name)
        asyncio.run(app.migrate_and_bootstrap(settings_for(url)))
        return url

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(statement)
        await connection.close()

    def execute(self, statement: str) -> None:
        """Run a statement as the server's owner."""
        asyncio.run(self._execute(statement))

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is a crash: nothing is written down any more."""
        self._control("-m", mode, "stop")

    def start(self) -> None:
        """Start it again where it was."""
        log, port = str(self._folder / "server.log"), self._server.facts["port"]
        self._control("-l", log, "-o", f"-p {port}", "start")

    def _control(self, *arguments: str) -> None:
        guard._run(self._folder, self._uid, "pg_ctl", "-w", "-t", "60", *arguments)

    def freeze(self) -> None:
        """Let none of its processes run: connections stay open, and nobody answers."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self._frozen.append(pid)

    def thaw(self) -> None:
        """Let them run again."""
        frozen, self._frozen = self._frozen, []
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def breakable_postgresql() -> Iterator[BreakablePostgreSQL]:
    """Run such a server for the length of a block."""
    server = PostgreSQL()
    outage = BreakablePostgreSQL(server)
    try:
        yield outage
    finally:
        outage.thaw()
        server.stop()
