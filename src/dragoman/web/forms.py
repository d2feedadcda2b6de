"""Forms: turns the fields of a body into typed values and a list of all problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dragoman.rules.errors import Problem
from dragoman.rules.fields import trim

TRUE = frozenset({"t", "y", "yes", "true", "on", "1"})
FALSE = frozenset({"f", "n", "no", "false", "off", "0"})


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form.

    Attributes:
        name: the directory's name of the field.
        data_type: ``text`` (trimmed; a number becomes its digits), ``secret`` (a string, not
            trimmed), ``boolean`` (also ``"true"``, ``1``, …) or ``integer`` (also its digits).
        required: the key must be present.
        blank: the empty string is valid.
        null: null is valid.
        max_length: the maximum number of characters; 0: no limit.
    """

    name: str
    data_type: str = "text"
    required: bool = False
    blank: bool = True
    null: bool = False
    max_length: int = 0


def parse(
    body: Mapping[str, Any], fields: Mapping[str, Field], *, partial: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid values by the directory's field names, and all problems.

    Unknown keys are ignored; absent ones are absent from the values. With ``partial``, no field is
    required.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, field in fields.items():
        if key not in body:
            if field.required and not partial:
                problems.append(Problem(field.name, "required"))
            continue
        value, code = _parse_value(body[key], field)
        if code:
            detail = field.max_length if code == "too_long" else None
            problems.append(Problem(field.name, code, detail))
        else:
            values[field.name] = value
    return values, problems


def texts(body: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, str]:
    """Return the texts of a body, trimmed, by the directory's field names, valid or not."""
    sent = ((field.name, body.get(key)) for key, field in fields.items())
    return {name: trim(value) for name, value in sent if isinstance(value, str)}


def _parse_value(value: Any, field: Field) -> tuple[Any, str]:
    if value is None:
        return None, "" if field.null else "null"
    if field.data_type == "boolean":
        parsed = parse_boolean(value)
        return parsed, "not_boolean" if parsed is None else ""
    if field.data_type == "integer":
        if value == "" and field.null:
            return None, ""
        parsed = parse_integer(value)
        return parsed, "not_integer" if parsed is None else ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, "not_string"
    text = str(value) if field.data_type == "secret" else trim(str(value))
    if not text and not field.blank:
        return None, "blank"
    if field.max_length and len(text) > field.max_length:
        return None, "too_long"
    return text, ""


def parse_boolean(value: Any) -> bool | None:
    """Return the boolean that a value represents, or None."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str | float):
        word = str(value).strip().lower()
        return True if word in TRUE else False if word in FALSE else None
    return None


def parse_integer(value: Any) -> int | None:
    """Return the 64-bit integer that a value represents, or None."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if not text.lstrip("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None
