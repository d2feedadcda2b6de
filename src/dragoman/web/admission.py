"""Who may come in while the event loop has more to do than it can."""

from __future__ import annotations

import time

from dragoman.load_shedding import LoadShedder

MAX_WAIT_S = 2.0
"""So much of the loop's own work may wait in a burst."""
TARGET_S, OVERLOAD_TARGET_S = 0.1, 0.05
"""Two hundred lists on connections of their own are not too many; a refusal stands in the same queue."""
INTERVAL_S = 0.2
"""What the loop does takes less than a thousandth of a second: its bursts are short.

But clients that are slow to send their bodies are no queue: ``bodies.LATE_S`` must be shorter.
"""


class Admission:
    """The queue before the event loop: each request costs what the loop worked for it.

    What the loop does not work for, but waits for (the database, hashes), has gates of its own.
    """

    def __init__(self) -> None:
        self._load_shedder = LoadShedder(
            "requests",
            1,
            max_wait_s=MAX_WAIT_S,
            service_time_s=0.0002,
            target_s=TARGET_S,
            interval_s=INTERVAL_S,
            overload_target_s=OVERLOAD_TARGET_S,
        )
        self._thread_time_s: float | None = None  # not known before its thread has answered one

    def acquire(self, excluded: int) -> None:
        """Count a request; raises Unavailable.

        ``aside`` of those inside wait for a hash, or for a client that is slow to send its body.
        """
        self._load_shedder.acquire(excluded)

    def release(self) -> None:
        """Count it no longer, and learn what it cost."""
        self._load_shedder.release()
        previous_s, self._thread_time_s = self._thread_time_s, time.thread_time()
        if previous_s is not None:
            self._load_shedder.record_duration(self._thread_time_s - previous_s)


ADMISSION = Admission()
"""This process's: it has one event loop."""
