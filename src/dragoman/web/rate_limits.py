"""Rate limits for anonymous and signed-in callers."""

from __future__ import annotations

import math
import time
from functools import lru_cache

import msgspec
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter

from dragoman.rules.client_addresses import client_network
from dragoman.rules.errors import RateLimited
from dragoman.settings import Rate, Settings
from dragoman.web.window_storage import WindowStorage

_storage = WindowStorage()
_limiter = FixedWindowRateLimiter(_storage)
CLOCK_STEP_S = 1.0
"""A clock that goes back by more (seconds) was set, not slewed by NTP."""


class _ClockWatch:
    """Notices a clock that was set back: windows end by the time of day."""

    latest_s = 0.0

    def check(self) -> None:
        """Reset all windows if the clock was set back, because they would last longer."""
        now_s = time.time()
        if now_s < self.latest_s - CLOCK_STEP_S:
            _storage.reset()
        self.latest_s = now_s


_clock = _ClockWatch()


@lru_cache(maxsize=8)
def _rate_limit_item(count: int, seconds: int) -> RateLimitItem:
    return RateLimitItemPerSecond(count, seconds)


def hit(settings: Settings, address: str) -> None:
    """Count one request without a valid credential. Raises RateLimited.

    All contracts share one limit per address (in IPv6: per network) and worker process.
    """
    _hit(settings.anonymous_rate, "anonymous", client_network(address))


def _hit(rate: Rate, *key: str) -> None:
    if not rate.count:
        return
    _clock.check()
    item = _rate_limit_item(rate.count, rate.seconds)
    if not _limiter.hit(item, *key):
        resets_at = _limiter.get_window_stats(item, *key).reset_time
        raise RateLimited(max(1, math.ceil(resets_at - time.time())))


class RateLimitStatus(msgspec.Struct, frozen=True):
    """A caller's rate limit: ``remaining`` of ``limit`` requests until ``resets_at`` (Unix time)."""

    limit: int
    remaining: int
    resets_at: int


def hit_user(settings: Settings, user_id: int) -> None:
    """Count one request with a valid credential. Raises RateLimited."""
    _hit(settings.user_rate, "user", str(user_id))


def remaining(settings: Settings, address: str, user_id: int) -> RateLimitStatus | None:
    """Return the status of a user's limit, or of an address's if ``user_id`` is 0; None: no limit."""
    rate = settings.user_rate if user_id else settings.anonymous_rate
    if not rate.count:
        return None
    key = ("user", str(user_id)) if user_id else ("anonymous", client_network(address))
    stats = _limiter.get_window_stats(_rate_limit_item(rate.count, rate.seconds), *key)
    return RateLimitStatus(rate.count, max(0, stats.remaining), math.ceil(stats.reset_time))
