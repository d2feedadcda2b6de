"""A hand-kept set of connections to PostgreSQL, with a queue before it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from dragoman.load_shedding import Gate
from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts, answers

WAIT_S = 2.0
COMMAND_S = 30.0
DOUBT_S = 0.8
"""After so long without an answer, a server is asked whether it is still there."""

GONE = (
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
_NO_ANSWER = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.ConnectionDoesNotExistError,  # a proxy with nobody behind it takes us, and hangs up
    asyncpg.ConnectionFailureError,
    asyncpg.ClientCannotConnectError,
)

_ALWAYS = {
    "application_name": "dragoman",
    "jit": "off",
    "lock_timeout": f"{WAIT_S * 1000:.0f}",  # else one lock takes all connections, for as long as it is held
}


def connection_options(**server_settings: str) -> dict[str, Any]:
    """Return what every connection of ours asks for, and these settings of the server."""
    return {
        "timeout": WAIT_S,
        "command_timeout": COMMAND_S,
        "server_settings": {**_ALWAYS, **server_settings},
    }


class Pool:
    """Connections that are neither reset nor checked between uses; broken ones are dropped."""

    def __init__(self, dsn: str, size: int, **server_settings: str) -> None:
        self._hosts = Hosts(dsn)
        self._options = connection_options(**server_settings)
        self._idle: list[Any] = []
        self._room = size
        self._gate = Gate("database", size, longest_s=WAIT_S, cost_s=0.002)
        self._queue: deque[asyncio.Future[Any]] = deque()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """Have a connection for the length of a block; raises Unavailable if none is to be had."""
        with self._gate.entered():
            try:
                connection = await self._take(time.monotonic() + WAIT_S)
            except GONE as fault:
                raise Unavailable("database") from fault
            watch, began = _Watch(connection), time.monotonic()
            try:
                yield connection
            except GONE as fault:
                if isinstance(fault, asyncpg.ReadOnlySQLTransactionError):
                    connection.terminate()  # the next one leads to whoever takes writes now
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
                return await self._hosts.connect(**options)
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
            async with asyncio.timeout(left_s):  # wait_for may swallow a cancellation (3.11)
                given = await future
        except BaseException:
            if future.done() and not future.cancelled():
                given = future.result()
                self._wake() if given is None else self._give(given)
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
        """Let go of those that nobody uses."""
        for connection in self._idle:
            try:
                await connection.close(timeout=WAIT_S)
            except GONE:
                connection.terminate()
        self._idle.clear()


class _Watch:
    """Doubts a server that is silent for long; if it does not answer a new caller, hangs up.

    A slow statement is waited for as long as the server answers at all.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(DOUBT_S, self._doubt)
        self._task: asyncio.Task[None] | None = None

    def _doubt(self) -> None:
        self._task = self._loop.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            await answers(self._connection, timeout=DOUBT_S)
        except _NO_ANSWER:
            self._connection.terminate()
            return
        except asyncpg.PostgresError:
            pass  # a refusal is one
        self._timer = self._loop.call_later(DOUBT_S, self._doubt)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
