"""Connects to the primary among several PostgreSQL hosts, some of which may be down."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg

from dragoman.rules.dsn import split_hosts

CONNECTION_ATTEMPT_DELAY_S = 0.25
"""How long to wait for a host before the next one is tried as well, in seconds (RFC 8305)."""


class HostConnection(asyncpg.Connection):
    """A connection that knows its host: ``dsn`` names that host alone."""

    dsn = ""


class Hosts:
    """The hosts of a DSN; the one that was connected to last is tried first.

    asyncpg tries hosts one after the other, so that a host that does not respond uses up the
    whole timeout. Here the attempts overlap.
    If there are several hosts, the server must accept writes, unless the DSN or the environment
    sets ``target_session_attrs``: otherwise a standby that responds first would be used.
    """

    def __init__(self, dsn: str) -> None:
        self._dsns = split_hosts(dsn)
        attrs_given = "target_session_attrs=" in dsn or "PGTARGETSESSIONATTRS" in os.environ
        has_several_hosts = len(self._dsns) > 1
        self._default_options = (
            {"target_session_attrs": "read-write"} if has_several_hosts and not attrs_given else {}
        )

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - asyncpg's interface
        """Connect to the first host that accepts within ``timeout`` seconds.

        Raises the error of the last host that refused, or TimeoutError.
        """
        untried = list(self._dsns)
        options = {**self._default_options, **options}
        attempts: set[asyncio.Task[HostConnection]] = set()
        last_error: BaseException = TimeoutError()
        try:
            async with asyncio.timeout(timeout):
                while untried or attempts:
                    if untried:
                        attempt = _connect(untried.pop(0), timeout=timeout, **options)
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


def _terminate_late(task: asyncio.Task[HostConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
