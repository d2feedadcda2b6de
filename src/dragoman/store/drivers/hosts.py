"""Several PostgreSQL hosts, one of which takes writes: found though others refuse or are silent."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncpg

from dragoman.rules.dsn import apart

HEAD_START_S = 0.25
"""So long a host is asked alone, before the next one is asked as well."""


class Linked(asyncpg.Connection):
    """A connection that knows where it leads: ``place`` is a DSN of that host alone."""

    place = ""


class Hosts:
    """The hosts of a DSN. The one that served last is asked first; nobody waits for a slow one.

    The driver itself asks one after the other: a machine without power uses up all the time there
    is, and the next host is never asked.
    Of several, one that takes writes is wanted, unless the DSN or the environment says otherwise:
    else whoever answers first would be kept, and that may be a standby.
    """

    def __init__(self, dsn: str) -> None:
        self._places = apart(dsn)
        said = "target_session_attrs=" in dsn or "PGTARGETSESSIONATTRS" in os.environ
        several = len(self._places) > 1
        self._wanted = {"target_session_attrs": "read-write"} if several and not said else {}

    async def connect(self, *, timeout: float, **options: Any) -> Any:  # noqa: ASYNC109 - as the driver
        """Connect to the first host that takes us within ``timeout`` seconds.

        Raises what the last one to refuse said, or TimeoutError.
        """
        waiting = list(self._places)
        options = {**self._wanted, **options}
        trying: set[asyncio.Task[Linked]] = set()
        fault: BaseException = TimeoutError()
        try:
            async with asyncio.timeout(timeout):
                while waiting or trying:
                    if waiting:
                        asked = _connect(waiting.pop(0), timeout=timeout, **options)
                        trying.add(asyncio.create_task(asked))
                    done, trying = await asyncio.wait(
                        trying,
                        timeout=HEAD_START_S if waiting else None,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    for task in done:
                        fault = task.exception() or fault
                        if task.exception() is None:
                            trying |= done - {task}
                            return self._chosen(task.result())
        finally:
            for task in trying:
                task.add_done_callback(_hang_up)
                task.cancel()
        raise fault

    def _chosen(self, connection: Linked) -> Linked:
        place = connection.place
        self._places = [place, *(other for other in self._places if other != place)]
        return connection


async def answers(connection: Any, *, timeout: float) -> None:  # noqa: ASYNC109 - as the driver
    """Ask the host of a connection for another one, which nobody needs; raises what that raises."""
    options: dict[str, Any] = {"timeout": timeout, "target_session_attrs": "any"}
    other: Any = await asyncpg.connect(connection.place, **options)
    other.terminate()


async def _connect(place: str, **options: Any) -> Linked:
    connection: Any = await asyncpg.connect(place, connection_class=Linked, **options)
    connection.place = place
    return connection


def _hang_up(task: asyncio.Task[Linked]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
