"""What an answer shows: whose names, which tenants, which invitations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx

from tests.authorization.ground import EMPTY, HOME, OFFERS, PEOPLE_OF, PLACES, Ground
from tests.authorization.table import Cell

ID_KEYS = {"id", "person", "user", "user_id"}
ORDINARY = {"admin", "deleted", "holder", "nobody"}
"""Usernames that are words of other things, too: such people are known by the rest of them."""


def judge(ground: Ground, cell: Cell, answer: httpx.Response, sent: str) -> Iterator[str]:
    """Yield what an answer shows and should not, or should show and does not."""
    done = answer.status_code < 300
    kinds = {
        "people": people(ground, answer, "" if done else sent),
        "places": places(ground, answer),
        "offers": {name for name in ground.offers if f"{name}@invited.test" in answer.text},
    }
    if not done:
        if shown := set().union(*kinds.values()):
            yield f"a refusal shows {sorted(shown)}"
        return
    operation = cell.operation
    own, everything = _own(ground, cell), _everything(ground)
    rules = operation.contract == "wiwebb" and cell.actor in {"superadmin", "admin"}
    for kind, shown in kinds.items():
        if operation.reads and kind == operation.about:
            wanted = _wanted(ground, cell)
            if shown != wanted:
                yield f"shows {kind} {sorted(shown)}, not {sorted(wanted)}"
        elif extra := shown - (everything[kind] if rules else own[kind]):
            yield f"shows {kind} {sorted(extra)}"


def _everything(ground: Ground) -> dict[str, set[str]]:
    return {
        "people": {name for name in ground.people if name not in {"deleted", "nobody"}},
        "places": set(ground.places),
        "offers": set(OFFERS["tenant"] | OFFERS["foreign"]),
    }


def _own(ground: Ground, cell: Cell) -> dict[str, set[str]]:
    """What an answer may show besides what it is about: oneself, the target, the own tenant."""
    return {
        "people": _self(ground, cell) | _target(ground, cell),
        "places": {HOME},
        "offers": set(),
    }


def _self(ground: Ground, cell: Cell) -> set[str]:
    me = ground.actor(cell.actor)
    return {name for name, each in ground.people.items() if each is me}


def _target(ground: Ground, cell: Cell) -> set[str]:
    if cell.operation.on == "tenant":
        return {PLACES[cell.target]} if cell.target in PLACES else set()
    if cell.operation.on == "invitation":
        return {cell.target}
    if cell.operation.on != "user":
        return set()
    whom = ground.target(cell.target, cell.actor)
    return {name for name, each in ground.people.items() if each is whom}


def _wanted(ground: Ground, cell: Cell) -> set[str]:
    word, about = cell.expect.word, cell.operation.about
    if word == "none":
        return set()
    if word == "target":
        return _target(ground, cell)
    if about == "places":
        return {HOME} if word == "tenant" else set(ground.places)
    if about == "offers":
        return OFFERS[word]
    if word == "self":
        return _self(ground, cell)
    return PEOPLE_OF[word] if word in PEOPLE_OF else set().union(*PEOPLE_OF.values())


def people(ground: Ground, answer: httpx.Response, sent: str) -> set[str]:
    """Return whom an answer shows, by any of their names, besides what the request said itself."""
    text = answer.text
    words = set(re.findall(r"[\w.+-]+", text))
    ids = _ids(answer)
    found: set[str] = set()
    for name, person in ground.people.items():
        if any(word in text and word not in sent for word in (person.public_id, person.email)):
            found.add(name)
        told = person.username in words and person.username not in sent
        if told and person.username not in ORDINARY:
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


def places(ground: Ground, answer: httpx.Response) -> set[str]:
    """Return which tenants an answer shows."""
    told = {name: (place.uuid, place.name) for name, place in ground.world.tenants.items()}
    told[EMPTY] = told[EMPTY][:1]  # its name is a word of other things
    return {name for name, words in told.items() if any(word in answer.text for word in words)}
