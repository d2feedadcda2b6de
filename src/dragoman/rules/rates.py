"""Rates for rate limits, and their notation in settings."""

from __future__ import annotations

import re

import msgspec

SECONDS_PER_UNIT = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE_PATTERN = re.compile(r"(\d{1,9})\s*/\s*(?:(\d{1,6})\s*)?(second|minute|hour|day)s?")


class Rate(msgspec.Struct, frozen=True):
    """A maximum of ``count`` events per ``seconds``; a ``count`` of 0 means no limit."""

    count: int
    seconds: int


def parse_rate(text: str) -> Rate:
    """Parse a rate such as ``60/minute``, ``5 / 10 seconds`` or ``off``; raises ValueError."""
    lowered = text.lower()
    if lowered == "off":
        return Rate(0, 1)
    match = _RATE_PATTERN.fullmatch(lowered)
    if not match or int(match[1]) == 0 or (match[2] is not None and int(match[2]) == 0):
        raise ValueError("must have the form 60/minute, or be off")
    return Rate(int(match[1]), int(match[2] or 1) * SECONDS_PER_UNIT[match[3]])


def rate_text(rate: Rate) -> str:
    """Return a rate as ``parse_rate`` reads it."""
    if not rate.count:
        return "off"
    fitting = [(unit, s) for unit, s in SECONDS_PER_UNIT.items() if rate.seconds % s == 0]
    unit, seconds = fitting[-1]
    number = rate.seconds // seconds
    return f"{rate.count}/{unit}" if number == 1 else f"{rate.count}/{number} {unit}s"
