"""Values of imported fields: booleans, numbers, times and texts; nothing local, nothing guessed.

A converter takes a value as the file has it (a text, or what JSON knows) and returns ours, or
UNSET where the file says nothing: null, and a text without characters. It raises ``ValueProblem``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from dragoman.rules.model import DAY, HOUR, MINUTE, SECOND, Role

MIN_TIME = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""No directory of users is older: an earlier time is a mistake of units or a placeholder."""

_TRUE = frozenset({"true", "t", "yes", "1"})
_FALSE = frozenset({"false", "f", "no", "0"})
_MAX_INTEGER = 2**63 - 1


class ValueProblem(Exception):
    """A value that cannot be read.

    Args:
        code: one of ``records.ROW_CODES``.
        message: what is wrong, for a person; never quotes a secret.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def text(value: Any) -> str | UnsetType:
    """Return a text without its outer white space."""
    if type(value) is str:
        return value.strip() or UNSET
    if value is None or value is UNSET:
        return UNSET
    raise ValueProblem("invalid", f"{kind(value)} instead of a text")


def secret(value: Any) -> str | UnsetType:
    """Return a password as it is: its outer white space counts."""
    if type(value) is str:
        return value or UNSET
    if value is None or value is UNSET:
        return UNSET
    raise ValueProblem("invalid", f"{kind(value)} instead of a text")


def boolean(value: Any) -> bool | UnsetType:
    """Return a boolean: yes, no, true, false, t, f, 1, 0 in any case; nothing local."""
    if isinstance(value, bool):
        return value
    if type(value) is int and value in {0, 1}:
        return value == 1
    word = text(value)
    if word is UNSET:
        return UNSET
    lowered = word.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueProblem("invalid", "neither yes nor no (yes, no, true, false, t, f, 1, 0)")


def nullable_boolean(value: Any) -> bool | None | UnsetType:
    """Return a boolean, or None for a null: unknown."""
    return None if value is None else boolean(value)


def integer(value: Any) -> int | UnsetType:
    """Return an integer from 1 to the largest of 64 bits."""
    if type(value) is not int:
        digits = text(value)
        if digits is UNSET:
            return UNSET
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            raise ValueProblem("invalid", "not a whole number")
        value = int(digits)
    if not 0 < value <= _MAX_INTEGER:
        raise ValueProblem("invalid", "not between 1 and 9223372036854775807")
    return value


# --------------------------------------------------------------------------- times

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r" ?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = re.compile(r"\d{9,17}(?:\.\d{1,9})?", re.ASCII)
_ZERO_TIMES = frozenset({"0", "0000-00-00", "0000-00-00 00:00:00"})
"""How MySQL and PHP write that there is no time."""


def time(value: Any, *, now: int = 0) -> int | UnsetType:
    """Return microseconds since 1970 UTC.

    Args:
        value: ISO 8601 (RFC 3339, or with a space), or seconds, milliseconds or microseconds since
            1970, told apart by their magnitude. Without an offset it is UTC. The order of day and
            month is never guessed: other forms are not read.
        now: the moment of the import; a time must not be more than a day later. 0: any time.
    """
    at = moment(value)
    if at is UNSET:
        return UNSET
    if at < MIN_TIME or (now and at > now + DAY):
        raise ValueProblem("invalid", "not a time between 1990 and now")
    return at


def moment(value: Any) -> int | UnsetType:
    """Return a time as ``time`` does, but of any year: the end of a ban may be in 9999."""
    if type(value) in {int, float}:
        return _from_epoch(float(value), str(value)) if value else UNSET
    words = text(value)
    if words is UNSET or words in _ZERO_TIMES:
        return UNSET
    if len(words) >= 19 and words[4] == words[7] == "-" and words[10] in " Tt":
        try:  # the fast way, for what the standard library reads
            return _microseconds(datetime.fromisoformat(words))
        except (ValueError, OverflowError):
            pass
    if match := _TIME.fullmatch(words):
        return _from_iso(match)
    if _EPOCH.fullmatch(words):
        return _from_epoch(float(words), words)
    raise ValueProblem("invalid", "not a time as 2024-05-31T12:00:00Z or seconds since 1970")


def _microseconds(at: datetime) -> int:
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH_START
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _from_iso(match: re.Match[str]) -> int:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        at = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
        return _microseconds(at) - _offset(match[8])
    except ValueError:
        raise ValueProblem("invalid", "no such day or time") from None


def _offset(words: str | None) -> int:
    if not words or words in "Zz":
        return 0
    digits = words[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError(words)
    offset = hours * HOUR + minutes * MINUTE
    return -offset if words[0] == "-" else offset


def _from_epoch(number: float, words: str) -> int:
    """Return a time from its number: up to 11 digits are seconds, up to 14 milliseconds."""
    whole = words.partition(".")[0]
    if not 0 < number < 1e17:
        raise ValueProblem("invalid", "not a time between 1990 and now")
    if len(whole) <= 11:
        return round(number * SECOND)
    return round(number * 1000) if len(whole) <= 14 else int(number)


# --------------------------------------------------------------------------- roles and fields

ROLES = {role.name.lower(): role for role in Role}
"""Our own words for roles."""


def role(value: Any) -> Role | UnsetType:
    """Return a role by our own word for it."""
    if isinstance(value, Role):
        return value
    word = text(value)
    if word is UNSET:
        return UNSET
    found = ROLES.get(word.lower())
    if found is None:
        raise ValueProblem("unknown_role", unknown_role(word))
    return found


def unknown_role(*words: str) -> str:
    """Return the message for words that are no roles."""
    quoted = ", ".join(repr(word[:40]) for word in words[:3])
    return f"unknown role {quoted}; --map-role WORD=ROLE says which of ours is meant"


def kind(value: Any) -> str:
    """Return what a value of JSON is, for messages."""
    match value:
        case str():
            return "a text"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "another value"


Converter = Callable[[Any], Any]

CONVERTERS: dict[str, Converter] = {
    "id": integer,
    "public_id": text,
    "tenant": text,
    "role": role,
    "username": text,
    "email": text,
    "verified": boolean,
    "first_name": text,
    "last_name": text,
    "display_name": text,
    "phone": text,
    "bio": text,
    "url": text,
    "company": text,
    "location": text,
    "active": boolean,
    "approved": boolean,
    "created_at": time,
    "last_login_at": time,
    "password_hash": text,
    "strong_password": nullable_boolean,
}
"""How the value of each field of ``ImportedUser`` is read."""


def converter(field: str, *, now: int) -> Converter:
    """Return how the value of a field is read at a moment; raises KeyError for no field of ours.

    Args:
        field: the name of a field of ``ImportedUser``.
        now: microseconds since 1970; times must not lie after it.
    """
    convert = CONVERTERS[field]
    return partial(time, now=now) if convert is time else convert
