"""PostgreSQL connection pool with load shedding, failover and a watchdog."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any

import asyncpg

from dragoman.load_shedding import LoadShedder
from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts, ping

MAX_WAIT_S = 2.0
"""Maximum wait for a connection or a lock, in seconds."""
COMMAND_TIMEOUT_S = 30.0
"""Maximum duration of a statement, in seconds."""
PROBE_INTERVAL_S = 0.8
"""How long a server may take to respond before it is probed, in seconds."""

UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.PostgresSystemError,  # its disk cannot be read or written
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ReadOnlySQLTransactionError,  # connected to a standby
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)
"""Errors that mean that the database cannot serve at the moment."""
_UNREACHABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.ConnectionDoesNotExistError,  # a proxy without a server accepts and disconnects
    asyncpg.ConnectionFailureError,
    asyncpg.ClientCannotConnectError,
)

_SERVER_SETTINGS = {
    "application_name": "dragoman",
    "jit": "off",
    # Otherwise a single lock could block all connections for as long as it is held.
    "lock_timeout": f"{MAX_WAIT_S * 1000:.0f}",
}


def connection_options(**server_settings: str) -> dict[str, Any]:
    """Return the options of every connection, with additional server settings."""
    return {
        "timeout": MAX_WAIT_S,
        "command_timeout": COMMAND_TIMEOUT_S,
        "server_settings": {**_SERVER_SETTINGS, **server_settings},
    }


class Pool:
    """A pool of connections, which are neither reset nor checked between uses.

    Broken connections are dropped. Waiters are served in the order of their arrival.

    Args:
        hosts: where to connect to; pools that share it move to another host together.
        size: maximum number of connections.
        server_settings: additional settings of the server for each connection.
    """

    def __init__(self, hosts: Hosts, size: int, **server_settings: str) -> None:
        self._hosts = hosts
        self._options = connection_options(**server_settings)
        self._idle: list[Any] = []
        self._free_slots = size
        self.load_shedder = LoadShedder(
            "database", size, max_wait_s=MAX_WAIT_S, service_time_s=0.002
        )
        self._waiters: deque[asyncio.Future[Any]] = deque()

    def connection(self) -> _Lease:
        """Return a context manager for a connection; it raises Unavailable."""
        return _Lease(self)

    async def take(self) -> Any:
        """Return a connection, to be given back; raises Unavailable."""
        self.load_shedder.acquire()
        try:
            return await self._acquire(time.monotonic() + MAX_WAIT_S)
        except BaseException as error:
            self.load_shedder.release()
            if isinstance(error, UNAVAILABLE_ERRORS):
                raise Unavailable("database") from error
            raise

    def give_back(self, connection: Any, duration_s: float) -> None:
        """Take a connection back that was in use for so many seconds."""
        self._release(connection)
        self.load_shedder.record_duration(duration_s)
        self.load_shedder.release()

    async def _acquire(self, deadline: float) -> Any:
        remaining_s = max(deadline - time.monotonic(), 0.05)
        while self._idle:
            connection = self._idle.pop()
            if self._is_usable(connection):
                return connection
            connection.terminate()
            self._free_slots += 1
        if self._free_slots:
            self._free_slots -= 1
            try:
                options: dict[str, Any] = {**self._options, "timeout": remaining_s}
                return await self._hosts.connect(**options)
            except asyncpg.PostgresError as error:
                self._free_slots += 1
                self._wake_next()
                raise Unavailable("database") from error
            except BaseException:
                self._free_slots += 1
                self._wake_next()
                raise
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        try:
            async with asyncio.timeout(remaining_s):  # wait_for may swallow a cancellation (3.11)
                handed_over = await future
        except BaseException:
            if future.done() and not future.cancelled():
                handed_over = future.result()
                self._wake_next() if handed_over is None else self._release(handed_over)
            raise
        return handed_over if handed_over is not None else await self._acquire(deadline)

    def _release(self, connection: Any) -> None:
        if not self._is_usable(connection) or connection.is_in_transaction():
            connection.terminate()
            self._free_slots += 1
            self._wake_next()
            return
        while self._waiters:
            future = self._waiters.popleft()
            if not future.done():
                future.set_result(connection)
                return
        self._idle.append(connection)

    def _is_usable(self, connection: Any) -> bool:
        return not connection.is_closed() and self._hosts.is_current(connection)

    def _wake_next(self) -> None:
        """Let the next waiter open a connection itself."""
        while self._waiters:
            future = self._waiters.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            try:
                await connection.close(timeout=MAX_WAIT_S)
            except UNAVAILABLE_ERRORS:
                connection.terminate()
        self._idle.clear()


class _Lease:
    """A connection of a pool for the length of a block.

    A class, because each request needs some: a generator would take twice as long.
    """

    __slots__ = ("_connection", "_pool", "_started", "_watchdog")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Any:
        connection = self._connection = await self._pool.take()
        self._watchdog, self._started = _Watchdog(connection), time.monotonic()
        return connection

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watchdog.stop()
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            self._connection.terminate()  # the next one will be made to the new primary
        self._pool.give_back(self._connection, time.monotonic() - self._started)
        if isinstance(error, UNAVAILABLE_ERRORS):
            raise Unavailable("database") from error


class _Watchdog:
    """Terminates a connection whose server has died without closing it.

    Probes the server with a new connection whenever a statement takes longer than
    ``PROBE_INTERVAL_S``. A slow statement may continue as long as the probes succeed.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(PROBE_INTERVAL_S, self._suspect)
        self._task: asyncio.Task[None] | None = None

    def _suspect(self) -> None:
        self._task = self._loop.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            await ping(self._connection, timeout=PROBE_INTERVAL_S)
        except _UNREACHABLE_ERRORS:
            self._connection.terminate()
            return
        except asyncpg.PostgresError:
            pass  # a server that refuses the probe is alive
        self._timer = self._loop.call_later(PROBE_INTERVAL_S, self._suspect)

    def stop(self) -> None:
        """Stop the timer and the probe."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
