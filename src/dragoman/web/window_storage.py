"""Storage of rate limits in this process, which never walks all of its counters."""

from __future__ import annotations

import heapq
import time

from limits.storage import Storage

MAX_COUNTERS = 200_000
"""Maximum number of counters; beyond it, those whose windows end first are dropped."""
EXPIRED_PER_HIT = 2
"""How many counters a hit removes at most, if their windows are over."""


class WindowStorage(Storage):
    """Counters of fixed windows, for ``limits.strategies.FixedWindowRateLimiter``.

    ``limits.storage.MemoryStorage`` walks all counters a hundred times a second while requests
    arrive, so that tens of thousands of client addresses slow every request. Here a hit removes at
    most two counters, in the order in which their windows end, so it costs the same whatever
    their number. It is used by the event loop's thread alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counters: dict[str, tuple[int, float]] = {}
        self._expiries: list[tuple[float, str]] = []

    @property
    def base_exceptions(self) -> type[Exception]:
        """The exceptions that the storage may raise."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` in the key's window, which lasts ``expiry`` seconds; return the count."""
        now = time.time()
        self._remove_expired(now)
        count, ends_at = self._counters.get(key, (0, 0.0))
        if ends_at <= now:
            count, ends_at = 0, now + expiry
            heapq.heappush(self._expiries, (ends_at, key))
        self._counters[key] = (count + amount, ends_at)
        return count + amount

    def _remove_expired(self, now: float) -> None:
        for _ in range(EXPIRED_PER_HIT):
            if not self._expiries:
                return
            ends_at, key = self._expiries[0]
            if ends_at > now and len(self._expiries) < MAX_COUNTERS:
                return
            heapq.heappop(self._expiries)
            if self._counters.get(key, (0, 0.0))[1] == ends_at:
                del self._counters[key]

    def get(self, key: str) -> int:
        """Return the count in the key's current window."""
        count, ends_at = self._counters.get(key, (0, 0.0))
        return count if ends_at > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when the key's window ends (Unix time); the current time if it has none."""
        return max(self._counters.get(key, (0, 0.0))[1], time.time())

    def check(self) -> bool:
        """Return whether the storage works."""
        return True

    def reset(self) -> int:
        """Remove all counters; return how many there were."""
        count = len(self._counters)
        self._counters.clear()
        self._expiries.clear()
        return count

    def clear(self, key: str) -> None:
        """Remove one counter."""
        self._counters.pop(key, None)
