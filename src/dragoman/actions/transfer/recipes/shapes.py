"""Shapes that the files of several products have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dragoman.actions.transfer import values
from dragoman.actions.transfer.recipes.recipe import Row
from dragoman.actions.transfer.values import ValueProblem


def objects(row: Row, path: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; none if it is absent. Raises ValueProblem for other shapes."""
    found = row.get(path)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueProblem("invalid", f"{path}: {values.kind(found)} instead of a list")
    items = cast("list[Any]", found)
    for item in items:
        if not isinstance(item, Mapping):
            raise ValueProblem("invalid", f"{path}: {values.kind(item)} instead of an object")
    return cast("list[Mapping[str, Any]]", items)


def mongo_time(row: Row, path: str) -> Any:
    """Return a date of MongoDB's extended JSON, version 1 or 2, as a text or a number.

    It is ``{"$date": "2024-05-31T12:00:00Z"}``, ``{"$date": {"$numberLong": "1717156800000"}}``
    or ``{"$date": 1717156800000}``.
    """
    found = row.get(path)
    for name in ("$date", "$numberLong"):
        if isinstance(found, Mapping):
            found = cast("Mapping[str, Any]", found).get(name)
    return found


def split_name(full_name: str) -> tuple[str, str]:
    """Return the first word of a name, and the others."""
    first, _, last = full_name.partition(" ")
    return first, last.strip()
