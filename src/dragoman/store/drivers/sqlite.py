"""SQLite driver: one writer connection, indexed reads in the event loop, scans in threads."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from dragoman.load_shedding import LoadShedder
from dragoman.rules.errors import Taken, Unavailable
from dragoman.store.drivers import sqlite_library, sqlite_log
from dragoman.store.drivers.batching import BatchLoader
from dragoman.store.query import MAX_KEYS, BulkInsert, CompiledStatement, LookupQuery, Query
from dragoman.store.transaction import AdvisoryLock

T = TypeVar("T")

BUSY_TIMEOUT_MS = 2000
"""SQLite's busy timeout, in milliseconds."""
WRITER_BUSY_TIMEOUT_MS = 10
"""SQLite's busy timeout on the writer connection, in milliseconds; ``_begin`` then tries again.

SQLite polls the lock at growing intervals. Restarting them often keeps a process that writes
without a pause from starving the others.
"""
MAX_WAIT_S = 2.0
"""Maximum wait of a transaction for the writer connection and for other processes, in seconds."""
MIN_BUSY_WAIT_S = 0.1
"""Minimum time that remains to wait for other processes, in seconds."""
FILE_CHECK_INTERVAL_S = 0.05
"""How often reads check that the file is where it was, in seconds; every write does."""
MAX_ROWS_PER_INSERT = 512
"""Maximum number of rows per statement, a power of two: SQLite binds up to 32,766 values."""
MMAP_SIZE = 48 * 2**20
"""Bytes of the file that the connection of the event loop maps into memory.

They count as memory of each process, though all of them share the pages.
"""


def connect(path: Path, *, mmap_size: int = 0, create: bool = True) -> Any:
    """Open a connection with WAL, synchronous=FULL and foreign keys; raises sqlite_library.Error.

    What it deletes is overwritten with zeros (``secure_delete``): see ``docs/decisions/`` 0029.

    Args:
        path: the database file.
        mmap_size: bytes of the file to map into memory.
        create: create the file if it does not exist.
    """
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite_library.connect(uri, uri=True)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    sqlite_log.configure(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # rows that are sorted do not reach the disk
    connection.execute(f"PRAGMA mmap_size = {mmap_size}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _bind_values(compiled: CompiledStatement, params: Mapping[str, Any]) -> list[Any]:
    return [json.dumps(v) if isinstance(v, list) else v for v in compiled.values(params)]


def _fetch(connection: Any, query: Query[T], params: Mapping[str, Any]) -> list[T]:
    row_factory = query.row_factory
    cursor = connection.execute(query.sqlite.sql, _bind_values(query.sqlite, params))
    return [row_factory(row) for row in cursor.fetchall()]


def _insert_many(connection: Any, insert: BulkInsert, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows in batches of a few sizes, so that each statement is prepared once."""
    start, size = 0, MAX_ROWS_PER_INSERT
    try:
        while start < len(rows):
            while size > len(rows) - start:
                size //= 2
            values = [*chain.from_iterable(rows[start : start + size])]
            connection.execute(insert.sqlite_sql(size), values)
            start += size
    except sqlite_library.Error as error:
        if sqlite_library.is_constraint(error):
            raise Taken(insert.table_name) from error
        raise


def translate_error(error: BaseException) -> BaseException:
    """Return Unavailable for an error that means that SQLite cannot serve, else the error itself."""
    return Unavailable("database") if sqlite_library.is_unavailable(error) else error


class _Session:
    """A transaction on the writer connection; implements ``transaction.Session``.

    It holds the database's only write lock. Its statements never block, and run in the event
    loop; those of a long-running transaction run in the writer's thread.
    """

    shard = 0  # there is only one writer at a time

    def __init__(self, driver: SqliteDriver, *, long_running: bool) -> None:
        self._on_writer = driver.run_in_writer_thread if long_running else driver.run_on_writer

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        return await self._on_writer(lambda c: _fetch(c, query, params))

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        values = _bind_values(query.sqlite, params)
        return await self._on_writer(lambda c: c.execute(query.sqlite.sql, values).rowcount)

    async def run_batch(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        for query, params in statements:
            await self.run(query, params)

    async def insert_many(self, insert: BulkInsert, rows: Sequence[tuple[Any, ...]]) -> None:
        await self._on_writer(lambda c: _insert_many(c, insert, rows))

    async def lock(self, lock_id: int, key: int) -> None:
        """Do nothing: BEGIN IMMEDIATE has locked the whole database."""


class _Snapshot:
    """A read transaction on a connection and in a thread of its own.

    It blocks no writer. Meanwhile the WAL is not reset, and grows by what is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-snapshot")
        self._connection: Any = None

    async def _run(self, operation: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, operation)
        except sqlite_library.Error as error:
            raise translate_error(error) from error

    async def begin(self) -> None:
        await self._run(self._begin)

    def _begin(self) -> None:
        self._connection = connect(self._path, create=False)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # takes the snapshot

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        return await self._run(lambda: _fetch(self._connection, query, params))

    async def close(self) -> None:
        if self._connection is not None:
            await self._run(self._connection.close)
        self._thread.shutdown(wait=False)


class SqliteDriver:
    """The driver of an SQLite file.

    ``docs/decisions/`` 0016 records which work runs in which thread, and the measurements.

    Args:
        path: the database file.
        scan_threads: number of threads for reads that are not indexed.
    """

    has_one_writer = True

    def __init__(self, path: Path, *, scan_threads: int = 2) -> None:
        self.path = path
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._scan_threads = ThreadPoolExecutor(scan_threads, thread_name_prefix="sqlite-scan")
        shedder = partial(LoadShedder, "database", max_wait_s=MAX_WAIT_S)
        self._scan_shedder = shedder(scan_threads, service_time_s=0.002)
        self._write_shedder = shedder(1, service_time_s=0.005)
        self._local = threading.local()
        self._connections: list[Any] = []
        self._write_lock = asyncio.Lock()
        self._loaders: dict[LookupQuery[Any], BatchLoader] = {}
        self._file_id: tuple[int, int] | None = None
        self._file_checked_at = 0.0
        self._data_version: int | None = None

    # Opened on first use, and again until that succeeds: the file may be missing at the start.

    @cached_property
    def _reader(self) -> Any:
        return self._connect(mmap_size=MMAP_SIZE)

    @cached_property
    def _writer(self) -> Any:
        connection = self._connect()
        connection.execute(f"PRAGMA busy_timeout = {WRITER_BUSY_TIMEOUT_MS}")
        return connection

    @property
    def queues(self) -> dict[str, LoadShedder]:
        return {"scans": self._scan_shedder, "writes": self._write_shedder}

    async def open(self) -> None:
        sqlite_library.require_supported()
        try:
            _ = self._reader, self._writer
        except sqlite_library.Error as error:
            raise Unavailable("database") from error

    async def close(self) -> None:
        self._scan_threads.shutdown(wait=True)
        self._writer_thread.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _connect(self, *, mmap_size: int = 0) -> Any:
        # Migrations have made the file.
        connection = connect(self.path, mmap_size=mmap_size, create=False)
        self._connections.append(connection)
        if self._file_id is None:
            self._file_id = self._find_file_id()
        self._check_file()
        return connection

    def _find_file_id(self) -> tuple[int, int]:
        """Return device and inode of the file at the path; raises Unavailable."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - Path.stat takes twice as long
        except OSError as error:
            raise Unavailable("database") from error
        return status.st_dev, status.st_ino

    def _check_file(self) -> None:
        """Raise Unavailable if the file that the connections have open was moved or replaced.

        They would go on reading and writing it, wherever it is now, until the process ends.
        """
        self._file_checked_at = 0.0
        if self._file_id not in {None, self._find_file_id()}:
            raise Unavailable("database")
        self._file_checked_at = time.monotonic()

    async def run_in_writer_thread(self, operation: Callable[[Any], T]) -> T:
        """Run an operation on the writer connection, in its thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._writer_thread, operation, self._writer)
        except sqlite_library.Error as error:
            raise translate_error(error) from error

    async def run_on_writer(self, operation: Callable[[Any], T]) -> T:
        """Run a short operation on the writer connection, in the event loop."""
        try:
            return operation(self._writer)
        except sqlite_library.Error as error:
            raise translate_error(error) from error

    @asynccontextmanager
    async def session(
        self, *, long_running: bool = False, lock: AdvisoryLock | None = None
    ) -> AsyncGenerator[_Session]:
        with self._write_shedder.slot():
            deadline = time.monotonic() + MAX_WAIT_S
            try:
                async with asyncio.timeout(MAX_WAIT_S):  # wait_for may swallow a cancellation
                    await self._write_lock.acquire()
            except TimeoutError:
                raise Unavailable("database") from None
            started = time.monotonic()
            try:
                self._check_file()
                busy_deadline = max(deadline, started + MIN_BUSY_WAIT_S)
                await self.run_in_writer_thread(lambda c: _begin(c, busy_deadline))
                yield _Session(self, long_running=long_running)
                self._check_file()
                await self.run_in_writer_thread(lambda c: c.execute("COMMIT"))
            except BaseException:
                await asyncio.shield(
                    self.run_in_writer_thread(lambda c: c.in_transaction and c.rollback())
                )
                raise
            finally:
                self._write_lock.release()
                self._write_shedder.record_duration(time.monotonic() - started)

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        # A check for each of them would cost too much, and a late one loses nothing.
        if time.monotonic() - self._file_checked_at > FILE_CHECK_INTERVAL_S:
            self._check_file()
        try:
            if query.indexed:
                return _fetch(self._reader, query, params)
            loop = asyncio.get_running_loop()
            with self._scan_shedder.slot():
                return await loop.run_in_executor(
                    self._scan_threads, self._scan_in_thread, query, params
                )
        except sqlite_library.Error as error:
            raise translate_error(error) from error

    def _scan_in_thread(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        started = time.monotonic()
        try:
            return _fetch(connection, query, params)
        finally:
            self._scan_shedder.record_duration(time.monotonic() - started)

    def bulk_session(self) -> Any:
        return self.session(long_running=True)

    async def others_have_written(self) -> bool:
        """Return whether another connection has committed since this was last called."""
        former = self._data_version
        self._data_version = await self.run_in_writer_thread(sqlite_log.data_version)
        return former not in {None, self._data_version}

    @asynccontextmanager
    async def relaxed_commits(self) -> AsyncGenerator[None]:
        await self.run_in_writer_thread(sqlite_log.relax)
        try:
            yield
        finally:
            await asyncio.shield(self.run_in_writer_thread(sqlite_log.settle))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[_Snapshot]:
        self._check_file()
        snapshot = _Snapshot(self.path)
        try:
            await snapshot.begin()
            yield snapshot
        finally:
            await asyncio.shield(snapshot.close())

    def look_up(self, lookup: LookupQuery[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        loader = self._loaders.get(lookup)
        if loader is None:
            loader = BatchLoader(lookup, self._fetch_batch, max_in_flight=1, max_batch=MAX_KEYS)
            self._loaders[lookup] = loader
        return loader.load(key)

    async def _fetch_batch(
        self, lookup: LookupQuery[Any], keys: list[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        # The driver releases the GIL at each step of a statement, and other threads take it.
        # Sixteen lookups in one statement release it as often as two separate ones.
        query, count = (lookup.single, 1) if len(keys) == 1 else (lookup.batch, MAX_KEYS)
        return await self.fetch(query, lookup.numbered_params(keys, count))

    async def truncate_log(self) -> bool:
        """Write the write-ahead log, which keeps earlier contents of pages, back and empty it."""
        try:
            return await asyncio.to_thread(_truncate_log, self.path)
        except sqlite_library.Error as error:
            raise Unavailable("database") from error

    async def current_revision(self) -> str:
        self._check_file()
        try:
            row = self._reader.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite_library.Error as error:
            raise Unavailable("database") from error
        return str(row[0]) if row else ""


def _begin(connection: Any, deadline: float) -> None:
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite_library.Error as error:
            if not sqlite_library.is_locked(error) or time.monotonic() > deadline:
                raise
        else:
            return


def _truncate_log(path: Path) -> bool:
    connection = connect(path, create=False)
    try:
        return sqlite_log.truncate(connection)
    finally:
        connection.close()
