"""SQLite: one writer in its own thread, point reads in the event loop, scans beside it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pysqlite3 import dbapi2 as sqlite3

from dragoman.load_shedding import Gate
from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.batching import Gatherer
from dragoman.store.query import TOGETHER, PointRead, Query, Text
from dragoman.store.transaction import Lock
from dragoman.store.user_lists.page_cache import Bookmarks

T = TypeVar("T")

BUSY_MS = 2000
TURN_MS = 10
"""So long SQLite itself waits for another process's turn to end, looking ever more seldom.

Then it begins anew to look: somebody who writes without a pause would be missed for seconds.
"""
WAIT_S = 2.0
"""How long a writer waits, in all: for its turn in this process, then for other processes."""
SHORTEST_S = 0.1
"""So long it waits for other processes in any case."""


MAPPED = 48 * 2**20
"""So much of the file is read where the system keeps it, by the one that reads most often (bytes).

It counts as this process's memory, though it is everybody's."""


def connect(path: Path, *, mapped: int = 0, create: bool = True) -> Any:
    """Open a connection as the directory needs it: WAL, synchronous=FULL, foreign keys.

    ``mapped`` bytes of the file are mapped into memory; it is made where it is not there, unless
    ``create`` is False. Raises sqlite3.Error.
    """
    where = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -6000")
    connection.execute(f"PRAGMA mmap_size = {mapped}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _values(text: Text, params: Mapping[str, Any]) -> list[Any]:
    return [json.dumps(v) if isinstance(v, list) else v for v in text.values(params)]


def _fetch(connection: Any, query: Query[T], params: Mapping[str, Any]) -> list[T]:
    into = query.into
    cursor = connection.execute(query.sqlite.sql, _values(query.sqlite, params))
    return [into(row) for row in cursor.fetchall()]


def translate(fault: BaseException) -> BaseException:
    """Turn what the driver raises when it cannot serve into Unavailable."""
    if isinstance(fault, sqlite3.OperationalError | sqlite3.InterfaceError):
        words = str(fault)
        if any(
            w in words
            for w in ("locked", "busy", "full", "disk", "unable to open", "I/O", "readonly")
        ):
            return Unavailable("database")
    return fault


class _Session:
    """A transaction on the writer connection, which it holds: its statements wait for nobody.

    So they run where they are asked for; those of a ``long`` one in the writer's thread.
    """

    shard = 0  # one writer at a time: a counter needs no shards

    def __init__(self, driver: SqliteDriver, *, long: bool) -> None:
        self._work = driver.in_writer if long else driver.on_writer

    async def all(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        return await self._work(lambda c: _fetch(c, query, params))

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        values = _values(query.sqlite, params)
        return await self._work(lambda c: c.execute(query.sqlite.sql, values).rowcount)

    async def together(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        for query, params in statements:
            await self.run(query, params)

    async def lock(self, name: int, key: int) -> None:
        """BEGIN IMMEDIATE holds everything already."""


class SqliteDriver:
    """One file; decision 16 says what runs where, and why."""

    def __init__(self, path: Path, *, scanners: int = 2) -> None:
        self.path = path
        self.bookmarks = Bookmarks()
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._scan_threads = ThreadPoolExecutor(scanners, thread_name_prefix="sqlite-scan")
        self._scans = Gate("database", scanners, longest_s=WAIT_S, cost_s=0.002)
        self._writes = Gate("database", 1, longest_s=WAIT_S, cost_s=0.005)
        self._local = threading.local()
        self._opened: list[Any] = []
        self._turn = asyncio.Lock()
        self._gatherers: dict[PointRead[Any], Gatherer] = {}

    # Both are opened when they are first asked for, and until it succeeds: a file that is away for
    # a while does not have to be there at the start.

    @cached_property
    def _reader(self) -> Any:
        return self._connect(mapped=MAPPED)

    @cached_property
    def _writer(self) -> Any:
        connection = self._connect()
        connection.execute(f"PRAGMA busy_timeout = {TURN_MS}")
        return connection

    async def open(self) -> None:
        try:
            _ = self._reader, self._writer
        except sqlite3.Error as fault:
            raise Unavailable("database") from fault

    async def close(self) -> None:
        self._scan_threads.shutdown(wait=True)
        self._writer_thread.shutdown(wait=True)
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _connect(self, *, mapped: int = 0) -> Any:
        connection = connect(self.path, mapped=mapped, create=False)  # migrations have made it
        self._opened.append(connection)
        return connection

    async def in_writer(self, work: Callable[[Any], T]) -> T:
        """Run something on the writer connection, in its thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._writer_thread, work, self._writer)
        except sqlite3.Error as fault:
            raise translate(fault) from fault

    async def on_writer(self, work: Callable[[Any], T]) -> T:
        """Run something short on the writer connection, here and now."""
        try:
            return work(self._writer)
        except sqlite3.Error as fault:
            raise translate(fault) from fault

    @asynccontextmanager
    async def session(
        self, *, long: bool = False, holding: Lock | None = None
    ) -> AsyncGenerator[_Session]:
        with self._writes.entered():
            deadline = time.monotonic() + WAIT_S
            try:
                async with asyncio.timeout(WAIT_S):  # wait_for may swallow a cancellation (3.11)
                    await self._turn.acquire()
            except TimeoutError:
                raise Unavailable("database") from None
            began = time.monotonic()
            try:
                until = max(deadline, began + SHORTEST_S)
                await self.in_writer(lambda c: _begin(c, until))
                yield _Session(self, long=long)
                await self.in_writer(lambda c: c.execute("COMMIT"))
            except BaseException:
                await asyncio.shield(self.in_writer(_roll_back))
                raise
            finally:
                self._turn.release()
                self._writes.took(time.monotonic() - began)

    async def scan(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        loop = asyncio.get_running_loop()
        with self._scans.entered():
            try:
                return await loop.run_in_executor(self._scan_threads, self._scan, query, params)
            except sqlite3.Error as fault:
                raise translate(fault) from fault

    def _scan(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        began = time.monotonic()
        try:
            return _fetch(connection, query, params)
        finally:
            self._scans.took(time.monotonic() - began)

    async def quick(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        try:
            return _fetch(self._reader, query, params)
        except sqlite3.Error as fault:
            raise translate(fault) from fault

    def point(self, read: PointRead[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        gatherer = self._gatherers.get(read)
        if gatherer is None:
            gatherer = Gatherer(read, self._gathered, flights=1, most=TOGETHER)
            self._gatherers[read] = gatherer
        return gatherer.get(key)

    async def _gathered(
        self, read: PointRead[Any], keys: list[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        # Each step of a statement lets go of the interpreter, and whoever feeds the event loop
        # takes it: sixteen reads in one statement stop for that as often as two apart.
        query, count = (read.alone, 1) if len(keys) == 1 else (read.query, TOGETHER)
        return await self.quick(query, read.named(keys, count))

    async def alive(self) -> str:
        try:
            row = self._reader.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error as fault:
            raise Unavailable("database") from fault
        return str(row[0]) if row else ""


def _begin(connection: Any, until: float) -> None:
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            if "locked" not in str(fault) or time.monotonic() > until:
                raise
        else:
            return


def _roll_back(connection: Any) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
