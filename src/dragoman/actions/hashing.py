"""Password hashing in threads: few at a time, a bounded queue behind them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dragoman.rules import passwords
from dragoman.rules.errors import Unavailable

T = TypeVar("T")

QUEUE_S = 10.0
"""So much work may wait; beyond it, callers are asked to come back."""


class Hashing:
    """Runs hashes beside the event loop, so that reads stay fast while people sign in.

    Args:
        threads: how many hashes run at once; at most one per core makes sense.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.waiting = 0
        self.verifications = 0
        self._cost_s = 0.03
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hashing")

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a password; raises Unavailable if the queue is full."""
        return await self._run(lambda: passwords.hash_password(password))

    async def verify(self, password: str, encoded: str) -> bool:
        """Say whether a password opens a hash; raises Unavailable if the queue is full.

        An empty ``encoded`` costs the same work and never opens.
        """
        self.verifications += 1
        against = encoded or passwords.DUMMY
        right = await self._run(lambda: passwords.verify_password(password, against))
        return right and bool(encoded)

    async def _run(self, work: Callable[[], T]) -> T:
        backlog_s = self.waiting * self._cost_s / self.threads
        if backlog_s > QUEUE_S:
            raise Unavailable("hashing", retry_after=math.ceil(backlog_s))
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)
        finally:
            self.waiting -= 1

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._cost_s += 0.1 * (time.perf_counter() - began - self._cost_s)

    def close(self) -> None:
        """Let the running hashes end, drop the waiting ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)
