"""Times on the command line: ISO 8601, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import rich_click as click

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[int]):
    """A time in microseconds since 1970: ``2026-11-30``, ``2026-11-30T12:00:00Z``, or ``7d`` ago."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the time; without a time zone it is UTC. Fails for any other text."""
        if isinstance(value, int):
            return value
        try:
            moment = parse(str(value), now=datetime.now(UTC))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; write 2026-11-30, 2026-11-30T12:00:00Z, or 7d "
                "for seven days ago (s, m, h, d, w)",
                param,
                ctx,
            )
        return (moment - EPOCH) // timedelta(microseconds=1)


def parse(text: str, *, now: datetime) -> datetime:
    """Return the time that a text means.

    Args:
        text: ISO 8601, with UTC as the default zone; or a number and a unit, which means ago.
        now: the current time, with a zone.

    Raises:
        ValueError, OverflowError: the text is neither, or too long ago.
    """
    if match := _SPAN.fullmatch(text.strip()):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
