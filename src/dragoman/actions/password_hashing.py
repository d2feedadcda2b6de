"""Password hashing in a small thread pool with a bounded queue."""

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
"""Maximum queued work in a burst, in seconds; beyond it, callers get Unavailable."""

SUSTAINED_S = 1.0
"""Maximum queued work over a longer time, in seconds.

Well above zero, because the operating system does not spread connections evenly over workers.
"""
INITIAL_COST_S = 0.03
"""Assumed duration of a hash in seconds, until one is measured."""
NICENESS = 5
"""Nice value of the hashing threads."""


def _lower_priority() -> None:
    """Lower the priority of this thread, so that requests get a busy core before hashes do.

    Only Linux has priorities per thread (sched(7)); elsewhere this does nothing.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class PasswordHasherPool:
    """Runs password hashes outside the event loop, so that it stays responsive.

    Args:
        threads: the number of concurrent hashes; more than one per core gains nothing.
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
        """Return whether a password matches a hash; raises Unavailable if the queue is full.

        An empty ``encoded`` never matches, but takes as long.
        """
        self.verifications += 1
        encoded_or_dummy = encoded or passwords.DUMMY_HASH
        matches = await self._run(lambda: passwords.verify_password(password, encoded_or_dummy))
        return matches and bool(encoded)

    async def wrap(self, encoded: str) -> str:
        """Return argon2id over a weak hash, and other hashes as they are; raises Unavailable."""
        return await self._run(lambda: passwords.wrap(encoded))

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
        """Wait for running hashes and cancel queued ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)
