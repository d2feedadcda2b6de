"""Rate limits for anonymous and signed-in callers.

They are counted in this process, or with DRAGOMAN_REDIS for all workers and nodes together. While
Redis is unavailable, this process counts by itself.
"""

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
from dragoman.shared_windows import WindowStatus, shared_windows
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
def _rate_limit_item(rate: Rate) -> RateLimitItem:
    return RateLimitItemPerSecond(rate.count, rate.seconds)


async def hit(settings: Settings, address: str) -> None:
    """Count one request without a valid credential. Raises RateLimited.

    All contracts share one limit per address (in IPv6: per network).
    """
    await _hit(settings, settings.anonymous_rate, "anonymous", client_network(address))


async def hit_user(settings: Settings, user_id: int) -> None:
    """Count one request with a valid credential. Raises RateLimited."""
    await _hit(settings, settings.user_rate, "user", str(user_id))


async def _hit(settings: Settings, rate: Rate, *key: str) -> None:
    if not rate.count:
        return
    item = _rate_limit_item(rate)
    within = await shared_windows(settings.redis).hit(item, *key) if settings.redis else None
    if within is None:
        _clock.check()
        within = _limiter.hit(item, *key)
    if not within:
        status = await _status(settings, item, *key)
        raise RateLimited(max(1, math.ceil(status.resets_at - time.time())))


async def _status(settings: Settings, item: RateLimitItem, *key: str) -> WindowStatus:
    status = await shared_windows(settings.redis).status(item, *key) if settings.redis else None
    if status is None:
        stats = _limiter.get_window_stats(item, *key)
        status = WindowStatus(max(0, stats.remaining), stats.reset_time)
    return status


class RateLimitStatus(msgspec.Struct, frozen=True):
    """A caller's rate limit: ``remaining`` of ``limit`` requests until ``resets_at`` (Unix time)."""

    limit: int
    remaining: int
    resets_at: int


async def remaining(settings: Settings, address: str, user_id: int) -> RateLimitStatus | None:
    """Return the status of a user's limit, or of an address's if ``user_id`` is 0; None: no limit."""
    rate = settings.user_rate if user_id else settings.anonymous_rate
    if not rate.count:
        return None
    key = ("user", str(user_id)) if user_id else ("anonymous", client_network(address))
    status = await _status(settings, _rate_limit_item(rate), *key)
    return RateLimitStatus(rate.count, status.remaining, math.ceil(status.resets_at))
