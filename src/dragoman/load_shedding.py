"""Queues in front of what is scarce: they take bursts, and refuse to stand (after RFC 8289)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator

from dragoman.rules.errors import Unavailable

TARGET_S = 0.2
"""A queue that is longer than this for long is a standing one: more work comes than can be done."""
INTERVAL_S = 1.0
"""For so long a burst may be."""
OVERLOAD_REJECTION_RATIO, REJECTION_SMOOTHING = 0.1, 0.01
"""Such a share of those who come is many; how much each of them counts in it."""


class LoadShedder:
    """Counts who waits for one of a few places, and says when it is better to come back.

    A burst is taken in whatever it lasts, up to ``longest_s`` of work. A queue that stands above
    ``target_s`` for ``patience_s`` is held there: whoever gets in is served soon, and everybody
    else knows at once. It is held until it has been empty, or nobody was refused for as long.
    While many are refused, it is held at ``held_s``.

    Args:
        what: the word for it in Unavailable.
        places: how many are served at a time.
        longest_s: so much work may wait at all (seconds).
        cost_s: what one costs, to begin with (seconds); it is measured from then on.
        target_s: a queue that is longer is a standing one (seconds)
        patience_s: when it has been so for so long (seconds).
        held_s: how long it may be while it is held and ``MANY`` are refused (seconds);
            ``target_s`` by default.
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
        overload_target_s: float | None = None,
    ) -> None:
        self._resource = resource
        self._capacity = capacity
        self._max_wait_s = max_wait_s
        self._target_s = target_s
        self._interval_s = interval_s
        self._overload_target_s = target_s if overload_target_s is None else overload_target_s
        self._service_time_s = service_time_s
        self._above_target_since = 0.0
        self._shedding = False
        self._last_rejected_at = 0.0
        self._rejection_ratio = 0.0
        """The share of those refused among the last who came."""
        self.in_use = 0
        """How many wait or are being served."""

    def acquire(self, excluded: int = 0) -> None:
        """Be counted from now on; raises Unavailable where it should not begin.

        ``aside`` is how many of those inside wait for something else.
        """
        self.check(excluded)
        self.in_use += 1

    def check(self, excluded: int = 0) -> None:
        """Raise what ``enter`` would raise, before anything is done that it would make useless."""
        in_queue = self.in_use - excluded
        estimated_wait_s = (
            max(0, in_queue - self._capacity + 1) * self._service_time_s / self._capacity
        )
        rejected = estimated_wait_s > self._limit_s(in_queue, estimated_wait_s)
        self._rejection_ratio += REJECTION_SMOOTHING * (rejected - self._rejection_ratio)
        if rejected:
            self._last_rejected_at = time.monotonic()
            raise Unavailable(self._resource, retry_after=max(1, math.ceil(estimated_wait_s)))

    def release(self) -> None:
        """Be counted no longer."""
        self.in_use -= 1

    @contextlib.contextmanager
    def slot(self) -> Generator[None]:
        """Be counted for the length of a block; raises what ``enter`` raises."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _limit_s(self, in_queue: int, estimated_wait_s: float) -> float:
        if in_queue < self._capacity or (
            self._shedding and time.monotonic() - self._last_rejected_at > self._interval_s
        ):
            self._shedding = False
        if estimated_wait_s <= self._target_s:
            self._above_target_since = 0.0
        elif not self._above_target_since:
            self._above_target_since = time.monotonic()
        elif not self._shedding and time.monotonic() - self._above_target_since > self._interval_s:
            self._shedding, self._last_rejected_at = True, time.monotonic()
        if not self._shedding:
            return self._max_wait_s
        return (
            self._overload_target_s
            if self._rejection_ratio > OVERLOAD_REJECTION_RATIO
            else self._target_s
        )

    def record_duration(self, duration_s: float) -> None:
        """Learn what one of them cost, from its beginning to its end at its place."""
        self._service_time_s += 0.1 * (duration_s - self._service_time_s)
