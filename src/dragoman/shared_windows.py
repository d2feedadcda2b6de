"""Counters of rate limits in Redis or Valkey, which all workers and nodes share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog
from limits import RateLimitItem

T = TypeVar("T")

TIMEOUT_S = 0.5
"""How long a request waits for Redis before it is counted in its own process, in seconds."""
RETRY_S = 5.0
"""How long requests are counted without Redis before one of them tries it again, in seconds."""
REPORT_S = 60.0
"""Minimum interval of log lines while Redis is unavailable, in seconds."""
MAX_CONNECTIONS = 8
"""Maximum number of connections of a worker."""
KEY_PREFIX = "dragoman"

log: Any = structlog.get_logger()


class WindowStatus(msgspec.Struct, frozen=True):
    """What is left of a window, and when it ends (Unix time)."""

    remaining: int
    resets_at: float


class SharedWindows:
    """Fixed windows in one Redis or Valkey.

    It stops no request: while Redis is unavailable, every method returns None after ``TIMEOUT_S``
    at most, and at once during ``RETRY_S`` after a failure. The libraries are imported here, so
    that a server without Redis does not load them.

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``valkey://`` or ``valkeys://``.
    """

    def __init__(self, url: str) -> None:
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import FixedWindowRateLimiter
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        url = url.replace("valkey", "redis", 1)  # the same protocol
        self._pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # a restarted Redis has closed the connections of the pool
        )
        self._storage: Any = RedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix=KEY_PREFIX,
            connection_pool=self._pool,
        )
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._errors = (RedisError, OSError, ValueError)  # ValueError: an answer that is no number
        self._retry_at = 0.0
        self._report_at = 0.0
        self._available = True

    async def hit(self, item: RateLimitItem, *key: str) -> bool | None:
        """Count a request; return whether it is within the limit."""
        return await self._attempt(lambda: self._limiter.hit(item, *key))

    async def status(self, item: RateLimitItem, *key: str) -> WindowStatus | None:
        """Return the status of a key's window."""

        async def read() -> WindowStatus:
            stats = await self._limiter.get_window_stats(item, *key)
            return WindowStatus(max(0, stats.remaining), stats.reset_time)

        return await self._attempt(read)

    async def check(self, item: RateLimitItem) -> None:
        """Count something, to see whether that works; raises OSError with what went wrong."""
        try:
            async with asyncio.timeout(4 * TIMEOUT_S):
                await self._limiter.hit(item, "check")
        except self._errors as error:
            raise OSError(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _attempt(self, work: Callable[[], Awaitable[T]]) -> T | None:
        started = time.monotonic()
        if started < self._retry_at:
            return None
        if not self._available:
            self._retry_at = started + RETRY_S  # this request tries, the others do not wait for it
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await work()
        except self._errors as error:
            self._note_failure(error)
            return None
        if not self._available:
            self._available, self._retry_at, self._report_at = True, 0.0, 0.0
            log.info("redis_back")
        return result

    def _note_failure(self, error: Exception) -> None:
        """Count without Redis for a while; the log has the error's type, as its text may be long."""
        now = time.monotonic()
        self._available, self._retry_at = False, now + RETRY_S
        if now >= self._report_at:
            self._report_at = now + REPORT_S
            log.warning("redis_away", error=type(error).__name__)


_open: dict[str, SharedWindows] = {}


def shared_windows(url: str) -> SharedWindows:
    """Return the windows at a URL, which this process opens once."""
    if (found := _open.get(url)) is None:
        found = _open[url] = SharedWindows(url)
    return found


async def close() -> None:
    """Close all connections of this process."""
    while _open:
        _, windows = _open.popitem()
        await windows.close()
