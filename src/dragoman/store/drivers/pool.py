"""A hand-kept set of connections to PostgreSQL, with a queue before it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from dragoman.load_shedding import LoadShedder
from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts, ping

MAX_WAIT_S = 2.0
COMMAND_TIMEOUT_S = 30.0
PROBE_INTERVAL_S = 0.8
"""After so long without an answer, a server is asked whether it is still there."""

UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.PostgresSystemError,  # its disk cannot be read or written
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)
"""What is raised where the database cannot serve now, and nobody has made a mistake."""
_UNREACHABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.ConnectionDoesNotExistError,  # a proxy with nobody behind it takes us, and hangs up
    asyncpg.ConnectionFailureError,
    asyncpg.ClientCannotConnectError,
)

_SERVER_SETTINGS = {
    "application_name": "dragoman",
    "jit": "off",
    "lock_timeout": f"{MAX_WAIT_S * 1000:.0f}",  # else one lock takes all connections, for as long as it is held
}


def connection_options(**server_settings: str) -> dict[str, Any]:
    """Return what every connection of ours asks for, and these settings of the server."""
    return {
        "timeout": MAX_WAIT_S,
        "command_timeout": COMMAND_TIMEOUT_S,
        "server_settings": {**_SERVER_SETTINGS, **server_settings},
    }


class Pool:
    """Connections that are neither reset nor checked between uses; broken ones are dropped."""

    def __init__(self, dsn: str, size: int, **server_settings: str) -> None:
        self._hosts = Hosts(dsn)
        self._options = connection_options(**server_settings)
        self._idle: list[Any] = []
        self._free_slots = size
        self._load_shedder = LoadShedder(
            "database", size, max_wait_s=MAX_WAIT_S, service_time_s=0.002
        )
        self._waiters: deque[asyncio.Future[Any]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """Have a connection for the length of a block; raises Unavailable if none is to be had."""
        with self._load_shedder.slot():
            try:
                connection = await self._acquire(time.monotonic() + MAX_WAIT_S)
            except UNAVAILABLE_ERRORS as error:
                raise Unavailable("database") from error
            watchdog, started = _Watchdog(connection), time.monotonic()
            try:
                yield connection
            except UNAVAILABLE_ERRORS as error:
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                    connection.terminate()  # the next one leads to whoever takes writes now
                raise Unavailable("database") from error
            finally:
                watchdog.stop()
                self._release(connection)
                self._load_shedder.record_duration(time.monotonic() - started)

    async def _acquire(self, deadline: float) -> Any:
        remaining_s = max(deadline - time.monotonic(), 0.05)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._free_slots += 1
        if self._free_slots:
            self._free_slots -= 1
            try:
                options: dict[str, Any] = {**self._options, "timeout": remaining_s}
                return await self._hosts.connect(**options)
            except asyncpg.PostgresError as error:
                self._free_slots += 1
                self._wake_next()
                raise Unavailable("database") from error  # it lets nobody in
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
        if connection.is_closed() or connection.is_in_transaction():
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

    def _wake_next(self) -> None:
        """Let one who waits try to connect itself."""
        while self._waiters:
            future = self._waiters.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def close(self) -> None:
        """Let go of those that nobody uses."""
        for connection in self._idle:
            try:
                await connection.close(timeout=MAX_WAIT_S)
            except UNAVAILABLE_ERRORS:
                connection.terminate()
        self._idle.clear()


class _Watchdog:
    """Doubts a server that is silent for long; if it does not answer a new caller, hangs up.

    A slow statement is waited for as long as the server answers at all.
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
            pass  # a refusal is one
        self._timer = self._loop.call_later(PROBE_INTERVAL_S, self._suspect)

    def stop(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
