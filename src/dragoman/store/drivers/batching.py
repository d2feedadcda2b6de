"""Point reads asked in the same moment travel in one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dragoman.rules.errors import Unavailable
from dragoman.store.query import PointRead

T = TypeVar("T")


class Gatherer:
    """Collects the keys that wait while a statement is under way, and asks for them together.

    On an idle server a read starts in the same turn of the loop; on a busy one the number of
    statements falls as the number of readers grows. ``fetch`` gets the keys, and returns each
    value with the number of its key, counted from 1.
    """

    def __init__(
        self,
        read: PointRead[Any],
        fetch: Callable[[PointRead[Any], list[tuple[Any, ...]]], Awaitable[list[tuple[int, Any]]]],
        *,
        flights: int = 2,
        most: int = 256,
    ) -> None:
        self._read = read
        self._fetch = fetch
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._free = flights
        self._most = most
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, key: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Ask for one key; the future holds its value, or None where there is none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((key, future))
        if not self._scheduled and self._free:
            self._scheduled = True
            loop.call_soon(self._depart)
        return future

    def _depart(self) -> None:
        self._scheduled = False
        while self._waiting and self._free:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._fly(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fly(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        try:
            found = dict(await self._fetch(self._read, [key for key, _ in batch]))
        except BaseException as fault:  # noqa: BLE001 - whoever waits has to learn of it
            if isinstance(fault, Unavailable):  # who waits would only learn it later
                batch, self._waiting = batch + self._waiting, []
            for _, future in batch:
                if not future.done():
                    future.set_exception(fault)
        else:
            for n, (_, future) in enumerate(batch, start=1):
                if not future.done():
                    future.set_result(found.get(n))
        finally:
            self._free += 1
            self._depart()
