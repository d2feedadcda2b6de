"""Batched lookups: concurrent reads by key share one statement (a DataLoader)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dragoman.rules.errors import Unavailable
from dragoman.store.query import LookupQuery

T = TypeVar("T")


class BatchLoader:
    """Collects keys while statements are in flight, and loads them with the next one.

    On an idle server a lookup starts in the same iteration of the event loop. On a busy one, more
    lookups share each statement.

    Args:
        lookup: the query.
        fetch_batch: loads a batch of keys; returns the values, each with the number of its key,
            counted from 1.
        max_in_flight: maximum number of concurrent statements.
        max_batch: maximum number of keys per statement.
    """

    def __init__(
        self,
        lookup: LookupQuery[Any],
        fetch_batch: Callable[
            [LookupQuery[Any], list[tuple[Any, ...]]], Awaitable[list[tuple[int, Any]]]
        ],
        *,
        max_in_flight: int = 2,
        max_batch: int = 256,
    ) -> None:
        self._lookup = lookup
        self._fetch_batch = fetch_batch
        self._pending: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._free_slots = max_in_flight
        self._max_batch = max_batch
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, key: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Return a future for the value of a key; None if it has none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._pending.append((key, future))
        if not self._scheduled and self._free_slots:
            self._scheduled = True
            loop.call_soon(self._dispatch)
        return future

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._pending and self._free_slots:
            batch, self._pending = (
                self._pending[: self._max_batch],
                self._pending[self._max_batch :],
            )
            self._free_slots -= 1
            task = asyncio.get_running_loop().create_task(self._run_batch(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_batch(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        try:
            values_by_number = dict(
                await self._fetch_batch(self._lookup, [key for key, _ in batch])
            )
        except BaseException as error:  # noqa: BLE001 - every waiting future must get it
            if isinstance(error, Unavailable):  # pending lookups would fail as well, only later
                batch, self._pending = batch + self._pending, []
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for n, (_, future) in enumerate(batch, start=1):
                if not future.done():
                    future.set_result(values_by_number.get(n))
        finally:
            self._free_slots += 1
            self._dispatch()
