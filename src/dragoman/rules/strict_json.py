"""One strict JSON decoder, for request bodies and for imported files."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
"""Maximum nesting depth of a JSON text."""

_TOO_DEEP = f"more than {MAX_DEPTH} levels of nesting"
_OUT_OF_RANGE = "integer out of the 64-bit range"
_UNSAFE = re.compile("[\x00\ud800-\udfff]")


class NotStrictJson(ValueError):
    """The text is not JSON, or not strict JSON; the message says why, without values."""


def decode(text: str) -> Any:
    """Return the value of a JSON text, strictly (RFC 8259).

    At most 32 levels deep, no duplicate keys, no NaN or Infinity, no lone surrogates, no NUL,
    integers within 64 bits. Raises NotStrictJson.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_reject_constant,
            parse_int=_parse_integer,
            parse_float=_parse_float,
        )
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg}: line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotStrictJson(_TOO_DEEP) from None
    _check_value(value, 0)
    return value


def check_text(text: str) -> None:
    """Raise NotStrictJson if the text contains NUL or a lone surrogate."""
    if _UNSAFE.search(text):
        raise NotStrictJson("NUL or lone surrogate in a string")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise NotStrictJson("duplicate key")
    return result


def _reject_constant(_: str) -> Any:
    raise NotStrictJson("NaN and Infinity are not valid JSON")


def _parse_integer(digits: str) -> int:
    if len(digits) > 20:
        raise NotStrictJson(_OUT_OF_RANGE)
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise NotStrictJson(_OUT_OF_RANGE)
    return number


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotStrictJson("number out of the 64-bit range")
    return number


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise NotStrictJson(_TOO_DEEP)
        if isinstance(value, dict):
            for key in value:
                check_text(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check_value(item, depth + 1)
