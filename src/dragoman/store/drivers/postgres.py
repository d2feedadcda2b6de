"""PostgreSQL through asyncpg: transactions, scans, and point reads gathered."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any, TypeVar

import asyncpg

from dragoman.store.drivers.batching import Gatherer
from dragoman.store.drivers.pool import GONE, WAIT_S, Pool
from dragoman.store.query import PointRead, Query
from dragoman.store.transaction import Lock
from dragoman.store.user_lists.page_cache import Bookmarks

T = TypeVar("T")

LONG_LOCK_MS = 30_000
"""Chores and the command line wait so long for a lock; requests only as long as for anything."""
SHARDS = 8
_PLACE = re.compile(r"\$(\d+)")


class _Session:
    """A transaction on one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.shard = os.getpid() % SHARDS

    async def all(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        text = query.postgres
        rows = await self._connection.fetch(text.sql, *text.values(params))
        return [query.into(row) for row in rows]

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        text = query.postgres
        status: str = await self._connection.execute(text.sql, *text.values(params))
        return int(status.rpartition(" ")[2])

    async def together(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        values = [v for query, params in statements for v in query.postgres.values(params)]
        await self._connection.execute(_merged(tuple(query for query, _ in statements)), *values)

    async def lock(self, name: int, key: int) -> None:
        await self._connection.execute(_lock((name, key)))


@cache
def _merged(queries: tuple[Query[Any], ...]) -> str:
    """Return one text for several changes (data-modifying statements in WITH), each run once."""
    parts: list[str] = []
    before = 0  # so many parameters have the statements before
    for query in queries:
        text = query.postgres
        parts.append(_PLACE.sub(partial(_moved, by=before), text.sql))
        before += text.count
    if len(parts) == 1:
        return parts[0]
    named = ", ".join(f"w{n} AS ({part})" for n, part in enumerate(parts))
    return f"WITH {named} SELECT 1"


def _moved(place: re.Match[str], by: int) -> str:
    return f"${int(place[1]) + by}"


def _lock(lock: Lock) -> str:
    # The one-key form is not for us: the two-key one keeps names and keys apart.
    name, key = lock
    return f"SELECT pg_advisory_xact_lock({name:d}, {key % 2**31:d})"


def _begin(patience: str, holding: Lock | None) -> str:
    """Return how a transaction begins; statements without parameters travel together."""
    return "; ".join(
        part for part in ("BEGIN", patience, _lock(holding) if holding else "") if part
    )


async def _roll_back(connection: Any) -> None:
    """End a transaction that failed, or else its connection.

    A server that is asked to cancel a statement before it has begun it forgets that, and goes on.
    """
    try:
        await connection.execute("ROLLBACK", timeout=WAIT_S)
    except GONE:
        connection.terminate()


def _patience(waited_s: float, *, long: bool) -> str:
    """Return how long a transaction may wait for a lock, where that is not as long as usual.

    Whoever has waited for a connection has as much less left.
    """
    if long:
        return f"SET LOCAL lock_timeout = {LONG_LOCK_MS}"
    if waited_s < WAIT_S / 20:
        return ""
    return f"SET LOCAL lock_timeout = {max(WAIT_S - waited_s, 0.1) * 1000:.0f}"


class PostgresDriver:
    """One database, perhaps behind several hosts; `reads` carry the gathered point reads."""

    def __init__(self, dsn: str, *, reads: int = 2, work: int = 6) -> None:
        # Planning a point read costs ten times its execution, and its plan never changes.
        self._reads = Pool(dsn, reads, plan_cache_mode="force_generic_plan")
        self._work = Pool(dsn, work)
        self._flights = reads
        self.bookmarks = Bookmarks()
        self._gatherers: dict[PointRead[Any], Gatherer] = {}

    async def open(self) -> None:
        await self.alive()

    async def close(self) -> None:
        await self._reads.close()
        await self._work.close()

    @asynccontextmanager
    async def session(
        self, *, long: bool = False, holding: Lock | None = None
    ) -> AsyncGenerator[_Session]:
        began = time.monotonic()
        async with self._work.connection() as connection:
            patience = _patience(time.monotonic() - began, long=long)
            try:
                await connection.execute(_begin(patience, holding))
                yield _Session(connection)
            except BaseException:
                if not connection.is_closed():
                    await _roll_back(connection)
                raise
            await connection.execute("COMMIT")

    async def scan(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        text = query.postgres
        async with self._work.connection() as connection:
            rows = await connection.fetch(text.sql, *text.values(params))
        return [query.into(row) for row in rows]

    async def quick(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        return await self.scan(query, params)

    def point(self, read: PointRead[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        gatherer = self._gatherers.get(read)
        if gatherer is None:
            gatherer = Gatherer(read, self._gathered, flights=self._flights)
            self._gatherers[read] = gatherer
        return gatherer.get(key)

    async def _gathered(
        self, read: PointRead[Any], keys: list[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        text = read.query.postgres
        async with self._reads.connection() as connection:
            rows = await connection.fetch(text.sql, *text.values(read.columns(keys)))
        return [read.query.into(row) for row in rows]

    async def alive(self) -> str:
        async with self._work.connection() as connection:
            try:
                version = await connection.fetchval("SELECT version_num FROM alembic_version")
            except asyncpg.UndefinedTableError:
                return ""
        return str(version or "")
