"""How often something may happen, and how an operator writes that."""

from __future__ import annotations

import re

import msgspec

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_FORM = re.compile(r"(\d{1,9})\s*/\s*(?:(\d{1,6})\s*)?(second|minute|hour|day)s?")


class Rate(msgspec.Struct, frozen=True):
    """So many per so many seconds; ``count`` 0 means no limit."""

    count: int
    seconds: int


def read_rate(text: str) -> Rate:
    """Return what ``60/minute``, ``5 / 10 seconds`` or ``off`` means; raises ValueError."""
    word = text.lower()
    if word == "off":
        return Rate(0, 1)
    found = _FORM.fullmatch(word)
    if not found or int(found[1]) == 0 or (found[2] is not None and int(found[2]) == 0):
        raise ValueError("must read like 60/minute, or off")
    return Rate(int(found[1]), int(found[2] or 1) * UNITS[found[3]])
