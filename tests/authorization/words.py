"""What stands in braces in the tables: ``{id}``, ``{acme}``, ``{acme:int}``, ``{root.public_id}``."""

from __future__ import annotations

import re
from typing import Any

from tests.authorization.ground import Ground

FRESH = "fresh-Kettle-77"
"""Every new password."""
_NAME = re.compile(r"\{([\w.]+)\}")
_NUMBER = re.compile(r"\{([\w.]+):int\}")


def names_of(ground: Ground, actor: str, target: str) -> dict[str, Any]:
    """Return the words for a request of an actor, and those of a user who is acted upon."""
    root = ground.people["root"]
    names: dict[str, Any] = {name: str(place) for name, place in ground.places.items()}
    names |= {"root.id": root.id, "root.public_id": root.public_id}
    names |= {"fresh": FRESH, "password": root.password}
    if target:
        person = ground.target(target, actor)
        names |= {name: getattr(person, name) for name in ("public_id", "username", "email")}
        names["id"] = str(person.id)
    return names


def filled(told: Any, names: dict[str, Any]) -> Any:
    """Return a text, or everything in a list or an object, with its words filled in."""
    if isinstance(told, str):
        number = _NUMBER.fullmatch(told)
        return int(names[number[1]]) if number else _NAME.sub(lambda m: str(names[m[1]]), told)
    if isinstance(told, dict):
        return {key: filled(value, names) for key, value in told.items()}
    return [filled(each, names) for each in told] if isinstance(told, list) else told
