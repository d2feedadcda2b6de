"""JSON objects as records: strict, and fast where there is nothing to complain about."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules import strict_json
from dragoman.rules.strict_json import MAX_DEPTH, NotStrictJson

MAX_KEYS = 1000
"""Maximum number of keys of a record, as of columns of a table."""

_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER = b"0" * 19
_TYPE_NAMES = {
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def decode_object(data: bytes) -> dict[str, Any]:
    """Return the value of a JSON object in valid UTF-8, strictly.

    As ``strict_json.decode``, with at most ``MAX_KEYS`` keys; raises NotStrictJson.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        value = strict_json.decode(data.decode())
    else:
        # The fast decoder drops the first value of a key that is there twice, and takes NUL and
        # integers of any length. Whatever might be one of these is decoded again.
        if (
            b"\\u0000" in data
            or data.count(b"{") + data.count(b"[") > MAX_DEPTH
            or _LONG_NUMBER in data.translate(_DIGITS)
            or _count_quotes(data) != _count_quotes(msgspec.json.encode(value))
        ):
            value = strict_json.decode(data.decode())
    if type(value) is not dict:
        raise NotStrictJson(f"{_TYPE_NAMES[type(value)]}, not an object")
    if len(value) > MAX_KEYS:
        raise NotStrictJson(f"more than {MAX_KEYS} keys in an object")
    return value


def _count_quotes(data: bytes) -> int:
    """Return how many quotes begin or end a string of a JSON text.

    A value written anew has as many as its text, unless a key of the text was dropped.
    """
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.count(b'"')
