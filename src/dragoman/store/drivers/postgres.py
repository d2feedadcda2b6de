"""PostgreSQL driver, on asyncpg: transactions, reads and batched lookups."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any, TypeVar

import asyncpg

from dragoman.load_shedding import LoadShedder
from dragoman.rules.errors import Taken, Unavailable
from dragoman.store.drivers.batching import BatchLoader
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import MAX_WAIT_S, UNAVAILABLE_ERRORS, Pool, connection_options
from dragoman.store.query import BulkInsert, LookupQuery, Query
from dragoman.store.transaction import AdvisoryLock

T = TypeVar("T")

LONG_LOCK_MS = 30_000
"""Maximum wait of jobs and the command line for a lock, in milliseconds; requests wait less."""
COUNTER_SHARDS = 8
"""Number of rows per user counter: concurrent writers rarely wait for the same one."""
_PLAN_BY_INDEX_SQL = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = off"
_BEGIN_SNAPSHOT = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    "SET LOCAL idle_in_transaction_session_timeout = 0; "  # its reader may be slow
    # Tables are read in steps, in the order of their keys. Of a table that was filled a moment
    # ago the planner knows nothing, and would read and sort all that is left of it for each step.
    f"{_PLAN_BY_INDEX_SQL}; SET LOCAL enable_sort = off; "
    "SELECT 1"  # takes the snapshot
)
_PLAN_AS_USUAL_SQL = "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_seqscan = on"
"""Otherwise PostgreSQL would plan the check of each foreign key of each row anew."""
_BEGIN_BULK = (
    "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
    f"SET LOCAL lock_timeout = {LONG_LOCK_MS}"
)
_PLACEHOLDER = re.compile(r"\$(\d+)")


class _Session:
    """A transaction on one connection; implements ``transaction.Session``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.shard = os.getpid() % COUNTER_SHARDS

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        compiled = query.postgres
        if query.bulk:
            await self._connection.execute(_PLAN_BY_INDEX_SQL)
        rows = await self._connection.fetch(compiled.sql, *compiled.values(params))
        if query.bulk:
            await self._connection.execute(_PLAN_AS_USUAL_SQL)
        return [query.row_factory(row) for row in rows]

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        compiled = query.postgres
        status: str = await self._connection.execute(compiled.sql, *compiled.values(params))
        return int(status.rpartition(" ")[2])

    async def run_batch(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        values = [v for query, params in statements for v in query.postgres.values(params)]
        await self._connection.execute(
            _merge_statements(tuple(query for query, _ in statements)), *values
        )

    async def insert_many(self, insert: BulkInsert, rows: Sequence[tuple[Any, ...]]) -> None:
        try:
            await self._connection.copy_records_to_table(
                insert.table_name, records=rows, columns=insert.column_names
            )
        except asyncpg.UniqueViolationError as error:
            raise Taken(insert.table_name) from error

    async def lock(self, lock_id: int, key: int) -> None:
        await self._connection.execute(_lock_sql((lock_id, key)))


@cache
def _merge_statements(queries: tuple[Query[Any], ...]) -> str:
    """Return one statement that runs several changes, as data-modifying statements in WITH."""
    parts: list[str] = []
    param_offset = 0  # number of parameters in the preceding statements
    for query in queries:
        compiled = query.postgres
        parts.append(
            _PLACEHOLDER.sub(partial(_shift_placeholder, offset=param_offset), compiled.sql)
        )
        param_offset += compiled.param_count
    if len(parts) == 1:
        return parts[0]
    ctes = ", ".join(f"w{n} AS ({part})" for n, part in enumerate(parts))
    return f"WITH {ctes} SELECT 1"


def _shift_placeholder(match: re.Match[str], offset: int) -> str:
    return f"${int(match[1]) + offset}"


async def _fetch_rows(connection: Any, query: Query[Any], values: list[Any]) -> list[Any]:
    """Run a reading statement outside a transaction; bulk ones get one for their settings."""
    if not query.bulk:
        return await connection.fetch(query.postgres.sql, *values)
    async with connection.transaction(readonly=True):
        await connection.execute(_PLAN_BY_INDEX_SQL)
        return await connection.fetch(query.postgres.sql, *values)


def _lock_sql(lock: AdvisoryLock) -> str:
    lock_id, key = lock
    return f"SELECT pg_advisory_xact_lock({lock_id:d}, {key % 2**31:d})"


def _begin_sql(lock_timeout_sql: str, relaxed_sql: str, lock: AdvisoryLock | None) -> str:
    """Return the statements that begin a transaction, to be sent in one round trip."""
    return "; ".join(
        part
        for part in ("BEGIN", lock_timeout_sql, relaxed_sql, _lock_sql(lock) if lock else "")
        if part
    )


async def _rollback(connection: Any) -> None:
    """End a failed transaction or a cancelled statement; close the connection if that fails.

    PostgreSQL ignores a cancel request that arrives before the statement has started. The
    statement then runs on, and the connection would be blocked for as long.
    """
    try:
        await connection.execute("ROLLBACK", timeout=MAX_WAIT_S)
    except UNAVAILABLE_ERRORS:
        connection.terminate()


_RELAXED_SQL = "SET LOCAL synchronous_commit = off"


def _lock_timeout_sql(waited_s: float, *, long_running: bool) -> str:
    """Return the statement that sets the lock timeout, or an empty string to keep the default.

    The time spent waiting for a connection is deducted, so that both waits share one limit.
    """
    if long_running:
        return f"SET LOCAL lock_timeout = {LONG_LOCK_MS}"
    if waited_s < MAX_WAIT_S / 20:
        return ""
    return f"SET LOCAL lock_timeout = {max(MAX_WAIT_S - waited_s, 0.1) * 1000:.0f}"


class _Snapshot:
    """A read-only transaction; implements ``transaction.SnapshotSession``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        compiled = query.postgres
        try:
            rows = await self._connection.fetch(compiled.sql, *compiled.values(params))
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable("database") from error
        return [query.row_factory(row) for row in rows]


class PostgresDriver:
    """The driver of a PostgreSQL database, which may have several hosts.

    Args:
        dsn: the DSN; it may name several hosts.
        lookup_connections: number of connections for batched lookups.
        pool_size: number of connections for everything else.
    """

    has_one_writer = False

    def __init__(self, dsn: str, *, lookup_connections: int = 2, pool_size: int = 6) -> None:
        self._hosts = hosts = Hosts(dsn)
        # Planning a lookup takes ten times as long as executing it, and its plan never changes.
        self._lookup_pool = Pool(hosts, lookup_connections, plan_cache_mode="force_generic_plan")
        self._pool = Pool(hosts, pool_size)
        self._max_in_flight = lookup_connections
        self._is_relaxed = False

        self._loaders: dict[LookupQuery[Any], BatchLoader] = {}

    @property
    def queues(self) -> dict[str, LoadShedder]:
        return {"lookups": self._lookup_pool.load_shedder, "statements": self._pool.load_shedder}

    async def open(self) -> None:
        await self.current_revision()

    async def close(self) -> None:
        await self._lookup_pool.close()
        await self._pool.close()

    @asynccontextmanager
    async def session(
        self, *, long_running: bool = False, lock: AdvisoryLock | None = None
    ) -> AsyncGenerator[_Session]:
        started = time.monotonic()
        async with self._pool.connection() as connection:
            lock_timeout_sql = _lock_timeout_sql(
                time.monotonic() - started, long_running=long_running
            )
            try:
                relaxed = _RELAXED_SQL if long_running and self._is_relaxed else ""
                await connection.execute(_begin_sql(lock_timeout_sql, relaxed, lock))
                yield _Session(connection)
            except BaseException:
                if not connection.is_closed():
                    await _rollback(connection)
                raise
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def bulk_session(self) -> AsyncGenerator[_Session]:
        # Beside the pool, whose watchdog would end it: this process is busy with the rows meanwhile.
        options: dict[str, Any] = {**connection_options(), "command_timeout": None}
        try:
            connection = await self._hosts.connect(**options)
            try:
                await connection.execute(_BEGIN_BULK)
                yield _Session(connection)
                await connection.execute("COMMIT")
            finally:
                connection.terminate()
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable("database") from error

    async def others_have_written(self) -> bool:
        return False

    @asynccontextmanager
    async def relaxed_commits(self) -> AsyncGenerator[None]:
        self._is_relaxed = True
        try:
            yield
        finally:
            self._is_relaxed = False

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        compiled = query.postgres
        async with self._pool.connection() as connection:
            try:
                rows = await _fetch_rows(connection, query, compiled.values(params))
            except asyncio.CancelledError:
                await _rollback(connection)
                raise
        return [query.row_factory(row) for row in rows]

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[_Snapshot]:
        # A connection beside the pool: what takes minutes would look like an overload to it.
        try:
            connection = await self._hosts.connect(**connection_options())
            await connection.execute(_BEGIN_SNAPSHOT)
        except (*UNAVAILABLE_ERRORS, asyncpg.PostgresError) as error:
            raise Unavailable("database") from error
        try:
            yield _Snapshot(connection)
        finally:
            connection.terminate()

    def look_up(self, lookup: LookupQuery[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        loader = self._loaders.get(lookup)
        if loader is None:
            loader = BatchLoader(lookup, self._fetch_batch, max_in_flight=self._max_in_flight)
            self._loaders[lookup] = loader
        return loader.load(key)

    async def _fetch_batch(
        self, lookup: LookupQuery[Any], keys: list[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        compiled = lookup.batch.postgres
        async with self._lookup_pool.connection() as connection:
            rows = await connection.fetch(compiled.sql, *compiled.values(lookup.array_params(keys)))
        return [lookup.batch.row_factory(row) for row in rows]

    async def truncate_log(self) -> bool:
        """Do nothing: PostgreSQL removes old row versions itself (VACUUM)."""
        return True

    async def current_revision(self) -> str:
        async with self._pool.connection() as connection:
            try:
                revision = await connection.fetchval("SELECT version_num FROM alembic_version")
            except asyncpg.UndefinedTableError:
                return ""
        return str(revision or "")
