"""What stands in braces in the tables: ``{id}``, ``{acme}``, ``{acme:int}``, ``{root.public_id}``."""

from __future__ import annotations

import re
from typing import Any

from tests.authorization.fixtures import SeededApp

NEW_PASSWORD = "fresh-Kettle-77"
"""Every new password."""
_NAME = re.compile(r"\{([\w.]+)\}")
_NUMBER = re.compile(r"\{([\w.]+):int\}")


def placeholders(seeded_app: SeededApp, actor: str, target: str) -> dict[str, Any]:
    """Return the words for a request of an actor, and those of a user who is acted upon."""
    root = seeded_app.people["root"]
    names: dict[str, Any] = {name: str(place) for name, place in seeded_app.tenant_ids.items()}
    names |= {"root.id": root.id, "root.public_id": root.public_id}
    names |= {"fresh": NEW_PASSWORD, "password": root.password}
    if target:
        person = seeded_app.target(target, actor)
        names |= {name: getattr(person, name) for name in ("public_id", "username", "email")}
        names["id"] = str(person.id)
    return names


def substitute(template: Any, names: dict[str, Any]) -> Any:
    """Return a text, or everything in a list or an object, with its words filled in."""
    if isinstance(template, str):
        number = _NUMBER.fullmatch(template)
        return int(names[number[1]]) if number else _NAME.sub(lambda m: str(names[m[1]]), template)
    if isinstance(template, dict):
        return {key: substitute(value, names) for key, value in template.items()}
    return (
        [substitute(each, names) for each in template] if isinstance(template, list) else template
    )
