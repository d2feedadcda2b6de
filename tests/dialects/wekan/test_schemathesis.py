"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest
from schemathesis import GenerationMode

from tests.support.databases import Shelf
from tests.support.schema_checks import Aims, Document
from tests.support.world import PASSWORD, World


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, by id or name, and one that it does not."""
    reach = [world.people[name].public_id for name in ("olga", "otto", "mia", "idle", "vic")]
    return {"id": [*reach, "mia", world.people["gus"].public_id, *reach]}


DOCUMENT = Document(
    "wekan",
    Aims(
        paths=ids,
        unique={"username": "new{}", "email": "new{}@fresh.test"},
        bodies={
            "POST /users/login": {"username": "olga", "email": "olga", "password": PASSWORD},
            "POST /api/deletetoken": {"userId": "vic"},
        },
        spends=frozenset({"POST /users/logout"}),
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(shelf: Shelf, operation: Any) -> None:
    """For every endpoint, asked by an owner."""
    with DOCUMENT.calling(shelf, "sqlite", "olga") as caller:
        if operation.body:
            DOCUMENT.try_everything(caller, operation)
        else:  # any text may be an id, so nothing can be wrong with the request
            for number, case in enumerate(DOCUMENT.systematic(operation)):
                caller.try_out(case, number)
            for number, case in enumerate(
                DOCUMENT.at_random(operation, GenerationMode.POSITIVE, 9)
            ):
                caller.try_out(case, number)
    assert caller.statuses[operation.label, 200], caller.statuses
    if operation.label != "POST /users/login":
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "mia", "vic", "nobody"])
def test_answers_to_others_are_too(shelf: Shelf, who: str) -> None:
    """Asked by a platform administrator, a member, a viewer, and by who has no credential."""
    with DOCUMENT.calling(shelf, "sqlite", who) as caller:
        DOCUMENT.try_some(caller, every=7)
    done = {label for label, status in caller.statuses if status < 300}
    everybody = {"POST /users/register", "POST /users/login"}
    signed_in = everybody | {
        "POST /users/logout",
        "GET /api/user",
        "GET /api/boards",
        "GET /api/users/{id}/boards",
    }
    if who != "root":
        assert done <= (everybody if who == "nobody" else signed_in)


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["olga", "mia"])
def test_answers_are_the_same_ones_on_postgresql(shelf: Shelf, who: str) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.calling(shelf, "postgresql", who) as caller:
        DOCUMENT.try_some(caller, every=9)
