"""Connects to the primary among several PostgreSQL hosts, some of which may be down."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from urllib.parse import parse_qs

import asyncpg

from dragoman.rules.dsn import split_hosts

CONNECTION_ATTEMPT_DELAY_S = 0.25
"""How long to wait for a host before the next one is tried as well, in seconds (RFC 8305)."""
_WRITING = frozenset({"read-write", "primary"})
"""Values of ``target_session_attrs`` that need a server which accepts writes."""


class HostConnection(asyncpg.Connection):
    """A connection that knows its host: ``dsn`` names that host alone."""

    dsn = ""


class Hosts:
    """The hosts of a DSN; the one that was connected to last is tried first.

    asyncpg tries hosts one after the other, so that a host that does not respond uses up the
    whole timeout. Here the attempts overlap.
    If there are several hosts, the server must accept writes, unless the DSN or the environment
    sets ``target_session_attrs``: otherwise a standby that responds first would be used.
    The server is asked whether it does. asyncpg believes what is announced at the start of a
    connection, and PgBouncer announces what was true when it connected to its server first.
    """

    def __init__(self, dsn: str) -> None:
        self._dsns = split_hosts(dsn)
        default = "read-write" if len(self._dsns) > 1 else ""
        self._must_write = _session_attrs(dsn, default) in _WRITING

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - asyncpg's interface
        """Connect to the first host that accepts within ``timeout`` seconds.

        Raises the error of the last host that refused, or TimeoutError.
        """
        untried = list(self._dsns)
        if self._must_write:
            options["target_session_attrs"] = "any"
        attempts: set[asyncio.Task[HostConnection]] = set()
        last_error: BaseException = TimeoutError()
        try:
            async with asyncio.timeout(timeout):
                while untried or attempts:
                    if untried:
                        attempt = self._attempt(untried.pop(0), timeout=timeout, **options)
                        attempts.add(asyncio.create_task(attempt))
                    done, attempts = await asyncio.wait(
                        attempts,
                        timeout=CONNECTION_ATTEMPT_DELAY_S if untried else None,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    for task in done:
                        last_error = task.exception() or last_error
                        if task.exception() is None:
                            attempts |= done - {task}
                            return self._prefer(task.result())
        finally:
            for task in attempts:
                task.add_done_callback(_terminate_late)
                task.cancel()
        raise last_error

    def is_current(self, connection: HostConnection) -> bool:
        """Return whether the connection is to the host that was connected to last.

        Behind a proxy like PgBouncer, a connection survives its server's fall to a standby, and
        would read outdated rows from then on.
        """
        return connection.dsn == self._dsns[0]

    async def _attempt(self, dsn: str, **options: Any) -> HostConnection:
        connection = await _connect(dsn, **options)
        if self._must_write:
            await _ensure_writable(connection)
        return connection

    def _prefer(self, connection: HostConnection) -> HostConnection:
        dsn = connection.dsn
        self._dsns = [dsn, *(other for other in self._dsns if other != dsn)]
        return connection


async def ping(connection: Any, *, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's interface
    """Check that the host of a connection accepts new ones; raises what ``asyncpg.connect`` does."""
    options: dict[str, Any] = {"timeout": timeout, "target_session_attrs": "any"}
    connection_to_same_host: Any = await asyncpg.connect(connection.dsn, **options)
    connection_to_same_host.terminate()


async def _connect(dsn: str, **options: Any) -> HostConnection:
    connection: Any = await asyncpg.connect(dsn, connection_class=HostConnection, **options)
    connection.dsn = dsn
    return connection


async def _ensure_writable(connection: Any) -> None:
    """Raise TargetServerAttributeNotMatched, and close, if the server accepts no writes."""
    try:
        if await connection.fetchval("SHOW transaction_read_only") == "on":
            raise asyncpg.TargetServerAttributeNotMatched("the server accepts no writes")
    except BaseException:
        connection.terminate()
        raise


def _session_attrs(dsn: str, default: str) -> str:
    """Return ``target_session_attrs`` as asyncpg would read it: of the DSN, else the environment."""
    given = parse_qs(dsn.partition("?")[2]).get("target_session_attrs")
    return given[-1] if given else os.environ.get("PGTARGETSESSIONATTRS", default)


def _terminate_late(task: asyncio.Task[HostConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
