"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.databases import Shelf
from tests.support.schema_checks import Aims, Document
from tests.support.world import PASSWORD, World


def addresses(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"email": [world.people[name].email for name in (*reach, "gus", *reach)]}


def says_nothing(kind: str, text: str) -> bool:
    """A 400 has no body where the request's own could not be read, which OpenAPI cannot say."""
    _, _, fault = kind.rpartition(": ")
    return fault in {"MissingContentType 400", "MalformedJson 400"} and "<EMPTY>" in text


DOCUMENT = Document(
    "binacle",
    Aims(
        paths=addresses,
        forgives=says_nothing,
        unique={"email": "new{}@fresh.test"},
        bodies={"POST /api/auth/token": {"email": "otto@acme.test", "password": PASSWORD}},
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(shelf: Shelf, operation: Any) -> None:
    """For every endpoint, asked by an owner."""
    with DOCUMENT.calling(shelf, "sqlite", "olga") as caller:
        DOCUMENT.try_everything(caller, operation)
    assert {status for _, status in caller.statuses} & {200, 201, 204}, caller.statuses
    if operation.label != "POST /api/auth/token":
        assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["root", "gil", "mia", "nobody"])
def test_answers_to_others_are_too(shelf: Shelf, who: str) -> None:
    """Asked by a superadmin, another tenant's owner, a member, and who has no token at all."""
    with DOCUMENT.calling(shelf, "sqlite", who) as caller:
        DOCUMENT.try_some(caller, every=5)
    if who in {"mia", "nobody"}:
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {"POST /api/auth/token"}


@pytest.mark.postgresql
def test_answers_are_the_same_ones_on_postgresql(shelf: Shelf) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.calling(shelf, "postgresql", "olga") as caller:
        DOCUMENT.try_some(caller, every=7)
