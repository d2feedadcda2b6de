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

from dragoman.load_shedding import Gate
from dragoman.rules import passwords

T = TypeVar("T")

QUEUE_S = 10.0
"""So much work may wait in a burst; beyond it, callers are asked to come back."""

STANDING_S = 1.0
"""So much work may wait where it always waits: workers do not get callers in equal shares."""
COST_S = 0.03
"""What a hash costs, until it is known."""


NICENESS = 5
"""How much a hash stands back where somebody else wants the core as well."""


def _step_back() -> None:
    """Let reads go before hashes where both want a core: a read is wanted now, a hash soon.

    Linux gives threads priorities of their own (sched(7)); elsewhere nothing changes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some sandboxes forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Hashing:
    """Runs hashes beside the event loop, so that reads stay fast while people sign in.

    Args:
        threads: how many hashes run at once; at most one per core makes sense.
    """

    def __init__(self, threads: int) -> None:
        self.gate = Gate("hashing", threads, longest_s=QUEUE_S, cost_s=COST_S, target_s=STANDING_S)
        self.verifications = 0
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="hashing", initializer=_step_back
        )

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
        with self.gate.entered():
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.gate.took(time.perf_counter() - began)

    def close(self) -> None:
        """Let the running hashes end, drop the waiting ones."""
        self._pool.shutdown(wait=True, cancel_futures=True)
