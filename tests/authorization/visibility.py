"""What an answer shows: whose names, which tenants, which invitations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx

from tests.authorization.fixtures import (
    EMPTY_TENANT,
    HOME_TENANT,
    INVITATIONS_OF,
    PEOPLE_OF,
    TENANTS_BY_TARGET,
    SeededApp,
)
from tests.authorization.table import CLOSED, Cell

ID_KEYS = {"id", "person", "user", "user_id"}
ORDINARY = {"admin", "deleted", "holder", "nobody"}
"""Usernames that are words of other things, too: such people are known by the rest of them."""


def visibility_problems(
    seeded_app: SeededApp, cell: Cell, answer: httpx.Response, sent: str
) -> Iterator[str]:
    """Yield what an answer shows and should not, or should show and does not."""
    done = answer.status_code < 300
    kinds = {
        "people": visible_people(seeded_app, answer, "" if done else sent),
        "places": visible_tenants(seeded_app, answer),
        "offers": {
            name for name in seeded_app.invitations if f"{name}@invited.test" in answer.text
        },
    }
    if not done:
        if shown := set().union(*kinds.values()):
            yield f"a refusal shows {sorted(shown)}"
        return
    operation = cell.operation
    own, everything = _always_visible(seeded_app, cell), _everything(seeded_app)
    rules = operation.contract == "wiwebb" and cell.actor in {"superadmin", "admin"}
    for kind, shown in kinds.items():
        if operation.reads and kind == operation.about:
            wanted = _expected(seeded_app, cell)
            if shown != wanted:
                yield f"shows {kind} {sorted(shown)}, not {sorted(wanted)}"
        elif extra := shown - (everything[kind] if rules else own[kind]):
            yield f"shows {kind} {sorted(extra)}"


def _everything(seeded_app: SeededApp) -> dict[str, set[str]]:
    return {
        "people": {name for name in seeded_app.people if name not in {"deleted", "nobody"}},
        "places": set(seeded_app.tenant_ids),
        "offers": set(INVITATIONS_OF["tenant"] | INVITATIONS_OF["foreign"]),
    }


def _always_visible(seeded_app: SeededApp, cell: Cell) -> dict[str, set[str]]:
    """What an answer may show besides what it is about: oneself, the target, the own tenant."""
    return {
        "people": _self(seeded_app, cell) | _target(seeded_app, cell),
        "places": {HOME_TENANT},
        "offers": set(),
    }


def _self(seeded_app: SeededApp, cell: Cell) -> set[str]:
    me = seeded_app.actor(cell.actor)
    return {name for name, each in seeded_app.people.items() if each is me}


def _target(seeded_app: SeededApp, cell: Cell) -> set[str]:
    if cell.operation.on == "tenant":
        return {TENANTS_BY_TARGET[cell.target]} if cell.target in TENANTS_BY_TARGET else set()
    if cell.operation.on == "invitation":
        return {cell.target}
    if cell.operation.on != "user":
        return set()
    whom = seeded_app.target(cell.target, cell.actor)
    return {name for name, each in seeded_app.people.items() if each is whom}


def _expected(seeded_app: SeededApp, cell: Cell) -> set[str]:
    word, about = cell.expect.word, cell.operation.about
    if word == "none":
        return set()
    if word == "target":
        return _target(seeded_app, cell)
    if about == "places":
        return {HOME_TENANT} if word == "tenant" else set(seeded_app.tenant_ids)
    if about == "offers":
        return INVITATIONS_OF[word]
    if word == "self":
        return _self(seeded_app, cell)
    people = PEOPLE_OF[word] if word in PEOPLE_OF else set().union(*PEOPLE_OF.values())
    return people - {"unapproved"} if cell.operation.contract in CLOSED else people


def visible_people(seeded_app: SeededApp, answer: httpx.Response, sent: str) -> set[str]:
    """Return whom an answer shows, by any of their names, besides what the request said itself."""
    text = answer.text
    words = set(re.findall(r"[\w.+-]+", text))
    ids = _ids(answer)
    found: set[str] = set()
    for name, person in seeded_app.people.items():
        if any(word in text and word not in sent for word in (person.public_id, person.email)):
            found.add(name)
        shown = person.username in words and person.username not in sent
        if shown and person.username not in ORDINARY:
            found.add(name)
        if person.id in ids and not re.search(rf"\b{person.id}\b", sent):
            found.add(name)
    return found


def _ids(answer: httpx.Response) -> set[Any]:
    """Return the numbers of an answer that are users' ids."""
    ids: set[Any] = set()
    is_json = "json" in answer.headers.get("content-type", "") and answer.content
    left: list[Any] = [answer.json()] if is_json else []
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if not {"codename", "slug"} & each.keys():
                ids |= {each[key] for key in ID_KEYS & each.keys() if isinstance(each[key], int)}
            left += each.values()
        elif isinstance(each, list):
            left += each
    return ids


def visible_tenants(seeded_app: SeededApp, answer: httpx.Response) -> set[str]:
    """Return which tenants an answer shows."""
    names_by_tenant = {
        name: (place.uuid, place.name) for name, place in seeded_app.world.tenants.items()
    }
    names_by_tenant[EMPTY_TENANT] = names_by_tenant[EMPTY_TENANT][
        :1
    ]  # its name is a word of other things
    return {
        name
        for name, words in names_by_tenant.items()
        if any(word in answer.text for word in words)
    }
