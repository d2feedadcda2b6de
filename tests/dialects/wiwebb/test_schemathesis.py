"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dragoman import app
from dragoman.actions import tenants
from dragoman.actions.system import system_actor
from dragoman.rules.model import TenantChanges
from tests.support.databases import Shelf
from tests.support.schema_checks import Aims, Caller, Document
from tests.support.world import PASSWORD, World

NEVER_DONE = {"POST /api/v1/auth/password/reset/confirm/", "GET /api/v1/tenants/me/"}
"""What a superadmin who gets no mail cannot do."""


def ids(world: World) -> dict[str, list[Any]]:
    """Return who is there: a superadmin finds everybody."""
    return {"id": [person.id for person in world.people.values()]}


async def vacant_tenant(caller: Caller) -> int:
    """Add a tenant without users: the only kind that can be deleted."""
    new = TenantChanges(name="Vacant", slug="vacant")
    async with (
        app.opened(caller.settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        return (await tenants.create(tx, new)).tenant.id


def prepare(caller: Caller) -> None:
    """Let the paths of tenants hold their ids."""
    there = [tenant.id for tenant in caller.world.tenants.values()]
    there.append(asyncio.run(vacant_tenant(caller)))
    for operation in caller.document.operations:
        if "/tenants/" in operation.label:
            caller.at[operation.label] = {"id": there}


DOCUMENT = Document(
    "wiwebb",
    Aims(
        paths=ids,
        prepare=prepare,
        unique={
            "username": "new{}",
            "email": "new{}@fresh.test",
            "name": "New {}",
            "slug": "new-{}",
        },
        bodies={
            "POST /api/v1/auth/login/": {"username": "olga", "password": PASSWORD},
            "POST /api/v1/auth/password/change/": {"old_password": PASSWORD},
        },
        spends=frozenset({"POST /api/v1/auth/logout/"}),
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(shelf: Shelf, operation: Any) -> None:
    """For every endpoint, asked by a superadmin."""
    with DOCUMENT.calling(shelf, "sqlite", "root") as caller:
        DOCUMENT.try_everything(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert operation.label in NEVER_DONE or reached & {200, 201, 204}, caller.statuses
    assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["ada", "olga", "mia", "nobody"])
def test_answers_to_others_are_too(shelf: Shelf, who: str) -> None:
    """Asked by an admin, an owner, a subscriber, and by who has no credential at all."""
    with DOCUMENT.calling(shelf, "sqlite", who) as caller:
        DOCUMENT.try_some(caller, every=9)
    if who == "nobody":
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {
            f"POST /api/v1/auth/{n}/" for n in ("registration", "login", "password/reset")
        }


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["root", "olga"])
def test_answers_are_the_same_ones_on_postgresql(shelf: Shelf, who: str) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.calling(shelf, "postgresql", who) as caller:
        DOCUMENT.try_some(caller, every=11)
