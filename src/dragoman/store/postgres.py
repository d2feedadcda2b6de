"""PostgreSQL through asyncpg: a hand-kept set of connections, point reads gathered."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from dragoman.rules.errors import Unavailable
from dragoman.store.gate import Gate
from dragoman.store.gather import Gatherer, PointRead
from dragoman.store.query import Query

T = TypeVar("T")

WAIT_S = 2.0
COMMAND_S = 30.0
DOUBT_S = 0.8
"""After so long without an answer, a server is asked whether it is still there."""
SHARDS = 8

_GONE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers
    asyncpg.DeadlockDetectedError,
    asyncpg.InternalClientError,
)


def connection_options(**server_settings: str) -> dict[str, Any]:
    """Return what every connection of ours asks for, and these settings of the server."""
    return {
        "timeout": WAIT_S,
        "command_timeout": COMMAND_S,
        "server_settings": {"application_name": "dragoman", "jit": "off", **server_settings},
    }


class _Pool:
    """Connections that are neither reset nor checked between uses; broken ones are dropped."""

    def __init__(self, dsn: str, size: int, **server_settings: str) -> None:
        self._dsn = dsn
        self._options = connection_options(**server_settings)
        self._idle: list[Any] = []
        self._room = size
        self._gate = Gate("database", size, longest_s=WAIT_S, cost_s=0.002)
        self._queue: deque[asyncio.Future[Any]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        with self._gate.entered():
            try:
                connection = await self._take(time.monotonic() + WAIT_S)
            except _GONE as fault:
                raise Unavailable("database") from fault
            watch, began = _Watch(self._dsn, connection), time.monotonic()
            try:
                yield connection
            except _GONE as fault:
                raise Unavailable("database") from fault
            finally:
                watch.end()
                self._give(connection)
                self._gate.took(time.monotonic() - began)

    async def _take(self, deadline: float) -> Any:
        left_s = max(deadline - time.monotonic(), 0.05)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._room += 1
        if self._room:
            self._room -= 1
            try:
                options: dict[str, Any] = {**self._options, "timeout": left_s}
                return await asyncpg.connect(self._dsn, **options)
            except asyncpg.PostgresError as fault:
                self._room += 1
                self._wake()
                raise Unavailable("database") from fault  # it lets nobody in
            except BaseException:
                self._room += 1
                self._wake()
                raise
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(future)
        try:
            given = await asyncio.wait_for(asyncio.shield(future), left_s)
        except BaseException:
            if future.done() and not future.cancelled():
                given = future.result()
                self._wake() if given is None else self._give(given)
            future.cancel()
            raise
        return given if given is not None else await self._take(deadline)

    def _give(self, connection: Any) -> None:
        if connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
            self._room += 1
            self._wake()
            return
        while self._queue:
            future = self._queue.popleft()
            if not future.done():
                future.set_result(connection)
                return
        self._idle.append(connection)

    def _wake(self) -> None:
        """Let one who waits try to connect itself."""
        while self._queue:
            future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def close(self) -> None:
        for connection in self._idle:
            try:
                await connection.close(timeout=WAIT_S)
            except _GONE:
                connection.terminate()
        self._idle.clear()


class _Watch:
    """Doubts a server that is silent for long; if it does not answer a new caller, hangs up.

    A slow statement is waited for as long as the server answers at all.
    """

    def __init__(self, dsn: str, connection: Any) -> None:
        self._dsn = dsn
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(DOUBT_S, self._doubt)
        self._task: asyncio.Task[None] | None = None

    def _doubt(self) -> None:
        self._task = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            other: Any = await asyncpg.connect(self._dsn, timeout=DOUBT_S)
            other.terminate()
        except asyncpg.PostgresError:
            pass  # a refusal is an answer
        except _GONE:
            self._connection.terminate()
            return
        self._timer = self._loop.call_later(DOUBT_S, self._doubt)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


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

    async def lock(self, name: int, key: int) -> None:
        # The one-key form is not for us: the two-key one keeps names and keys apart.
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock($1::int, $2::int)", name, key % 2**31
        )


class PostgresDriver:
    """One database, perhaps behind several hosts; `reads` carry the gathered point reads."""

    def __init__(self, dsn: str, *, reads: int = 2, work: int = 6) -> None:
        # Planning a point read costs ten times its execution, and its plan never changes.
        self._reads = _Pool(dsn, reads, plan_cache_mode="force_generic_plan")
        self._work = _Pool(dsn, work)
        self._flights = reads
        self._gatherers: dict[PointRead[Any], Gatherer] = {}

    async def open(self) -> None:
        await self.alive()

    async def close(self) -> None:
        await self._reads.close()
        await self._work.close()

    @asynccontextmanager
    async def session(self, *, long: bool = False) -> AsyncGenerator[_Session]:
        async with self._work.connection() as connection, connection.transaction():
            yield _Session(connection)

    async def scan(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        text = query.postgres
        async with self._work.connection() as connection:
            rows = await connection.fetch(text.sql, *text.values(params))
        return [query.into(row) for row in rows]

    async def quick(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        return await self.scan(query, params)

    async def point(self, read: PointRead[T], key: tuple[Any, ...]) -> T | None:
        gatherer = self._gatherers.get(read)
        if gatherer is None:
            gatherer = Gatherer(read, self._gathered, flights=self._flights)
            self._gatherers[read] = gatherer
        return await gatherer.get(key)

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
