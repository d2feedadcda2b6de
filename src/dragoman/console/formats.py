"""How values are written on pages: numbers, times, roles and states."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from dragoman.rules.model import DAY, HOUR, MINUTE, SECOND, Role, User

STATES = {
    "active": ("ok", "full", "Active"),
    "unapproved": ("warn", "bar", "Not approved"),
    "inactive": ("off", "ring", "Inactive"),
}
"""Class, shape and word of each state of a person."""


def number(value: int) -> str:
    """Return a number with thousands separators."""
    return f"{value:,}"


def role(value: Role) -> str:
    """Return the word for a role."""
    return value.name.capitalize()


def state_of(user: User) -> str:
    """Return the state of a person: a key of STATES."""
    if not user.active:
        return "inactive"
    return "active" if user.approved else "unapproved"


def full_name(user: User) -> str:
    """Return what a person is called."""
    return user.display_name or user.username


def relative(time: int, now: int) -> str:
    """Return a time in words, relative to now: "12 min ago", "yesterday", "3 Oct".

    Args:
        time: microseconds since 1970; 0: never.
        now: the same.
    """
    if not time:
        return "Never"
    age = now - time
    if -MINUTE < age < MINUTE:
        return "just now"
    if 0 < age < HOUR:
        return f"{age // MINUTE} min ago"
    if 0 < age < DAY:
        hours = age // HOUR
        return f"{hours} hour{'s' if hours > 1 else ''} ago"
    if 0 < age < 14 * DAY:
        days = age // DAY
        return "yesterday" if days == 1 else f"{days} days ago"
    moment, this_year = _utc(time), _utc(now).year
    return f"{moment.day} {moment:%b}" if moment.year == this_year else day(time)


def day(time: int) -> str:
    """Return the day of a time, such as "3 Sep 2026" (UTC); "–" for 0."""
    moment = _utc(time)
    return f"{moment.day} {moment:%b %Y}" if time else "–"


def iso(time: int) -> str:
    """Return a time as RFC 3339 writes it, to the second."""
    return f"{_utc(time):%Y-%m-%dT%H:%M:%SZ}"


def _utc(time: int) -> datetime:
    return datetime.fromtimestamp(time / SECOND, UTC)


def time_element(text: str, time: int) -> Any:
    """Return a ``<time>`` with these words, and the absolute time; only the words for 0."""
    if not time:
        return Markup('<span class="soft">{}</span>').format(text)
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(iso(time), text)
