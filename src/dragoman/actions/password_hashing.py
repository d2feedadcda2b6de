"""Password hashing in threads: few at a time, a bounded queue behind them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dragoman.load_shedding import LoadShedder
from dragoman.rules import passwords

T = TypeVar("T")

MAX_QUEUE_S = 10.0
"""So much work may wait in a burst; beyond it, callers are asked to come back."""

SUSTAINED_S = 1.0
"""So much work may wait where it always waits: workers do not get callers in equal shares."""
INITIAL_COST_S = 0.03
"""What a hash costs, until it is known."""


NICENESS = 5
"""How much a hash stands back where somebody else wants the core as well."""


def _lower_priority() -> None:
    """Let reads go before hashes where both want a core: a read is wanted now, a hash soon.

    Linux gives threads priorities of their own (sched(7)); elsewhere nothing changes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class PasswordHasherPool:
    """Runs hashes beside the event loop, so that reads stay fast while people sign in.

    Args:
        threads: how many hashes run at once; at most one per core makes sense.
    """

    def __init__(self, threads: int) -> None:
        self.load_shedder = LoadShedder(
            "hashing",
            threads,
            max_wait_s=MAX_QUEUE_S,
            service_time_s=INITIAL_COST_S,
            target_s=SUSTAINED_S,
        )
        self.verifications = 0
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="hashing", initializer=_lower_priority
        )

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a password; raises Unavailable if the queue is full."""
        return await self._run(lambda: passwords.hash_password(password))

    async def verify(self, password: str, encoded: str) -> bool:
        """Say whether a password opens a hash; raises Unavailable if the queue is full.

        An empty ``encoded`` costs the same work and never opens.
        """
        self.verifications += 1
        encoded_or_dummy = encoded or passwords.DUMMY_HASH
        matches = await self._run(lambda: passwords.verify_password(password, encoded_or_dummy))
        return matches and bool(encoded)

    async def _run(self, work: Callable[[], T]) -> T:
        with self.load_shedder.slot():
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)

    def _timed(self, work: Callable[[], T]) -> T:
        started_at = time.perf_counter()
        try:
            return work()
        finally:
            self.load_shedder.record_duration(time.perf_counter() - started_at)

    def close(self) -> None:
        """Let the running hashes end, drop the waiting ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)
