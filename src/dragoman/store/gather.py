"""Point reads asked in the same moment travel in one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from dragoman.rules.errors import Unavailable
from dragoman.store.query import Query, Row

T = TypeVar("T")


class PointRead(Generic[T]):
    """A read of one thing by its key, in two forms: for one key, and for many at once.

    Args:
        types: the SQL types of the key's parts.
        build: makes the statement from ``q``, a row source with the columns ``n``, ``k0``, ``k1``…;
            its first column must be ``q.c.n``.
        into: makes the value of a row.
    """

    __slots__ = ("into", "names", "query")

    def __init__(
        self,
        types: tuple[Any, ...],
        build: Callable[[Any], Any],
        into: Callable[[Row], T],
    ) -> None:
        self.names = names = [f"k{i}" for i in range(len(types))]
        arrays = [
            sa.bindparam(name, type_=ARRAY(kind)) for name, kind in zip(names, types, strict=True)
        ]
        columns = [sa.column(name, kind) for name, kind in zip(names, types, strict=True)]
        many = (
            sa.func.unnest(*arrays)
            .table_valued(*columns, with_ordinality="n", name="q")
            .render_derived()
        )
        single = sa.select(
            sa.literal_column("1").label("n"),
            *(
                sa.bindparam(name, type_=kind).label(name)
                for name, kind in zip(names, types, strict=True)
            ),
        ).subquery("q")
        self.into = into
        self.query: Query[tuple[int, T]] = Query(
            build(many), lambda row: (row[0], into(row)), sqlite=build(single)
        )

    def named(self, key: tuple[Any, ...]) -> dict[str, Any]:
        """Return one key's parts under their names in the statement."""
        return dict(zip(self.names, key, strict=True))


class Gatherer:
    """Collects the keys that wait while a statement is under way, and asks for them together.

    On an idle server a read starts in the same turn of the loop; on a busy one the number of
    statements falls as the number of readers grows. ``fetch`` gets the keys, column by column.
    """

    def __init__(
        self,
        read: PointRead[Any],
        fetch: Callable[[PointRead[Any], dict[str, list[Any]]], Awaitable[list[tuple[int, Any]]]],
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
            keys = [key for key, _ in batch]
            columns = {f"k{i}": list(part) for i, part in enumerate(zip(*keys, strict=True))}
            found = dict(await self._fetch(self._read, columns))
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
