"""Several PostgreSQL hosts, one of which takes writes: found though others refuse or are silent."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg

from dragoman.rules.dsn import split_hosts

CONNECTION_ATTEMPT_DELAY_S = 0.25
"""So long a host is asked alone, before the next one is asked as well."""


class HostConnection(asyncpg.Connection):
    """A connection that knows where it leads: ``place`` is a DSN of that host alone."""

    dsn = ""


class Hosts:
    """The hosts of a DSN. The one that served last is asked first; nobody waits for a slow one.

    The driver itself asks one after the other: a machine without power uses up all the time there
    is, and the next host is never asked.
    Of several, one that takes writes is wanted, unless the DSN or the environment says otherwise:
    else whoever answers first would be kept, and that may be a standby.
    """

    def __init__(self, dsn: str) -> None:
        self._dsns = split_hosts(dsn)
        attrs_given = "target_session_attrs=" in dsn or "PGTARGETSESSIONATTRS" in os.environ
        has_several_hosts = len(self._dsns) > 1
        self._default_options = (
            {"target_session_attrs": "read-write"} if has_several_hosts and not attrs_given else {}
        )

    async def connect(self, *, timeout: float, **options: Any) -> Any:
        """Connect to the first host that takes us within ``timeout`` seconds.

        Raises what the last one to refuse said, or TimeoutError.
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


async def ping(connection: Any, *, timeout: float) -> None:
    """Ask the host of a connection for another one, which nobody needs; raises what that raises."""
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
