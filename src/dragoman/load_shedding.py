"""Load shedder: a bounded queue in front of a scarce resource, after CoDel (RFC 8289)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator

from dragoman.rules.errors import Unavailable

TARGET_S = 0.2
"""Default wait (seconds) above which a queue is too long to persist."""
INTERVAL_S = 1.0
"""Default time (seconds) for which the wait may stay above the target."""


def _ignore() -> None:
    pass


class LoadShedder:
    """Counts the callers of a scarce resource and rejects those who would wait too long.

    Bursts are admitted while the estimated wait is below ``max_wait_s``. If the wait stays above
    ``target_s`` for longer than ``interval_s``, callers over ``target_s`` are rejected with
    Unavailable, until a slot is free or no caller was rejected for ``interval_s``.

    Args:
        resource: the resource's name in Unavailable.
        capacity: number of callers that are served at the same time.
        max_wait_s: longest estimated wait that a burst may cause (seconds).
        service_time_s: initial estimate of the time to serve one caller (seconds);
            ``record_duration`` updates it.
        target_s: the wait above which a queue is too long to persist (seconds).
        interval_s: how long the wait may stay above ``target_s`` (seconds).
    """

    def __init__(
        self,
        resource: str,
        capacity: int,
        *,
        max_wait_s: float,
        service_time_s: float,
        target_s: float = TARGET_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._resource = resource
        self.capacity = capacity
        self._max_wait_s = max_wait_s
        self._target_s = target_s
        self._interval_s = interval_s
        self._service_time_s = service_time_s
        self._above_target_since = 0.0
        self._shedding = False
        self._last_rejected_at = 0.0
        self.in_use = 0
        """Number of callers that wait or are being served."""
        self.on_reject: Callable[[], None] = _ignore
        """Is called for each caller that is rejected."""

    def acquire(self) -> None:
        """Count one more caller. Raises Unavailable if it would wait too long."""
        self.check()
        self.in_use += 1

    def check(self) -> None:
        """Raise Unavailable if ``acquire`` would, before the caller does work in vain."""
        queued = max(0, self.in_use - self.capacity + 1)
        estimated_wait_s = queued * self._service_time_s / self.capacity
        if estimated_wait_s > self._limit_s(estimated_wait_s):
            self._last_rejected_at = time.monotonic()
            self.on_reject()
            raise Unavailable(self._resource, retry_after=max(1, math.ceil(estimated_wait_s)))

    def release(self) -> None:
        """Count one caller less."""
        self.in_use -= 1

    @contextlib.contextmanager
    def slot(self) -> Generator[None]:
        """Count a caller for the length of a block. Raises Unavailable like ``acquire``."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def record_duration(self, duration_s: float) -> None:
        """Update the estimated service time with that of one caller, without its wait (seconds)."""
        self._service_time_s += 0.1 * (duration_s - self._service_time_s)

    def _limit_s(self, estimated_wait_s: float) -> float:
        """Return the longest wait that is admitted now (seconds), and update the state."""
        now = time.monotonic()
        if self.in_use < self.capacity or (
            self._shedding and now - self._last_rejected_at > self._interval_s
        ):
            self._shedding = False
        if estimated_wait_s <= self._target_s:
            self._above_target_since = 0.0
        elif not self._above_target_since:
            self._above_target_since = now
        elif not self._shedding and now - self._above_target_since > self._interval_s:
            self._shedding, self._last_rejected_at = True, now
        return self._target_s if self._shedding else self._max_wait_s
