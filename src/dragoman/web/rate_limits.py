"""Limits of rate, with and without a valid credential, and from where a caller really comes."""

from __future__ import annotations

import ipaddress
import math
import time
from functools import lru_cache

import msgspec
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.requests import Request

from dragoman.rules.errors import Limited
from dragoman.settings import Rate, Settings

_storage = MemoryStorage()
_limiter = FixedWindowRateLimiter(_storage)
SET_BACK_S = 1.0
"""A clock that is so much earlier than before was set, not corrected little by little."""


class _Clock:
    """The latest time of day that was seen; windows end by it."""

    seen_s = 0.0

    def look(self) -> None:
        """Forget every window if the clock was set back: they would last as much longer."""
        now_s = time.time()
        if now_s < self.seen_s - SET_BACK_S:
            _storage.reset()
        self.seen_s = now_s


_clock = _Clock()


@lru_cache(maxsize=8)
def _item(count: int, seconds: int) -> RateLimitItem:
    return RateLimitItemPerSecond(count, seconds)


def take(settings: Settings, address: str) -> None:
    """Count one request of a caller without a valid credential; raises Limited.

    One bucket per address over all contracts, per process.
    """
    _take(settings.anonymous_rate, "anonymous", address)


def _take(rate: Rate, *key: str) -> None:
    if not rate.count:
        return
    _clock.look()
    item = _item(rate.count, rate.seconds)
    if not _limiter.hit(item, *key):
        resets = _limiter.get_window_stats(item, *key).reset_time
        raise Limited(max(1, math.ceil(resets - time.time())))


class Allowance(msgspec.Struct, frozen=True):
    """What a limit leaves a caller: so many of so many until a moment (unix seconds)."""

    limit: int
    remaining: int
    resets_at: int


def take_of_user(settings: Settings, user_id: int) -> None:
    """Count one request of somebody who has signed in; raises Limited."""
    _take(settings.user_rate, "user", str(user_id))


def left(settings: Settings, address: str, user_id: int) -> Allowance | None:
    """Return what is left to a caller, by its address where ``user_id`` is 0; None: no limit."""
    rate = settings.user_rate if user_id else settings.anonymous_rate
    if not rate.count:
        return None
    key = ("user", str(user_id)) if user_id else ("anonymous", address)
    stats = _limiter.get_window_stats(_item(rate.count, rate.seconds), *key)
    return Allowance(rate.count, max(0, stats.remaining), math.ceil(stats.reset_time))


def address_of(request: Request, settings: Settings) -> str:
    """Return the client's address; X-Forwarded-For counts only behind trusted proxies.

    It is read from its right end, past every proxy that is trusted.
    """
    client = request.scope.get("client")
    address = _written(client[0]) if client else ""
    if not settings.trusted_proxies or not _trusted(address, settings):
        return address
    for line in reversed(request.headers.getlist("x-forwarded-for")):
        for part in reversed(line.split(",")):
            hop = part.strip()
            written = _written(hop)
            if not written:
                return address
            address = written
            if not _trusted(address, settings):
                return address
    return address


@lru_cache(maxsize=1024)
def _written(text: str) -> str:
    """Return an address in its one form; an IPv4 one in IPv6's clothes as what it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _trusted(address: str, settings: Settings) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in settings.trusted_proxies)
