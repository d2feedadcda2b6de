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


TOGETHER = 16
"""So many keys travel in one statement on SQLite, whose text names each of them."""


class PointRead(Generic[T]):
    """A read of one thing by its key, in two forms: for one key, and for many at once.

    ``query`` reads many; ``alone`` reads one, where SQLite has nobody else waiting.

    Args:
        types: the SQL types of the key's parts.
        build: makes the statement from ``q``, a row source with the columns ``n``, ``k0``, ``k1``…;
            its first column must be ``q.c.n``.
        into: makes the value of a row.
    """

    __slots__ = ("_names", "_numbered", "alone", "query")

    def __init__(
        self,
        types: tuple[Any, ...],
        build: Callable[[Any], Any],
        into: Callable[[Row], T],
    ) -> None:
        self._names = names = [f"k{i}" for i in range(len(types))]
        self._numbered = [f"{name}_{n}" for n in range(1, TOGETHER + 1) for name in names]
        arrays = [
            sa.bindparam(name, type_=ARRAY(kind)) for name, kind in zip(names, types, strict=True)
        ]
        columns = [sa.column(name, kind) for name, kind in zip(names, types, strict=True)]
        many = (
            sa.func.unnest(*arrays)
            .table_valued(*columns, with_ordinality="n", name="q")
            .render_derived()
        )

        def rows(count: int) -> Any:
            each = [
                sa.select(
                    sa.literal_column(str(n)).label("n"),
                    *(sa.bindparam(f"{c.name}_{n}", type_=c.type).label(c.name) for c in columns),
                )
                for n in range(1, count + 1)
            ]
            return sa.union_all(*each).subquery("q")

        def load(row: Row) -> tuple[int, T]:
            return row[0], into(row)

        self.query = Query(build(many), load, sqlite=build(rows(TOGETHER)))
        self.alone = Query(build(rows(1)), load)

    def named(self, keys: list[tuple[Any, ...]], count: int) -> dict[str, Any]:
        """Return the parts of ``count`` keys under their names on SQLite; NULL for those missing."""
        parts = [part for key in keys for part in key]
        parts += [None] * (count * len(self._names) - len(parts))
        return dict(zip(self._numbered, parts, strict=False))

    def columns(self, keys: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Return the parts of keys as lists under their names on PostgreSQL."""
        parts = zip(*keys, strict=True)
        return {name: list(part) for name, part in zip(self._names, parts, strict=True)}


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
