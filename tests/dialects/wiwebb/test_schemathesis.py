"""Everything that ``openapi.yaml`` allows and forbids, and what no document foresees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dragoman import app
from dragoman.actions import tenants
from dragoman.actions.system import system_actor
from dragoman.rules.model import TenantChanges
from tests.support.databases import DatabaseTemplates
from tests.support.schema_checks import DocumentOptions, SchemaDocument, SchemaTester
from tests.support.world import PASSWORD, World

SKIPPED_OPERATIONS = {"POST /api/v1/auth/password/reset/confirm/", "GET /api/v1/tenants/me/"}
"""What a superadmin who gets no mail cannot do."""


def ids(world: World) -> dict[str, list[Any]]:
    """Return who is there: a superadmin finds everybody."""
    return {"id": [person.id for person in world.people.values()]}


async def vacant_tenant(caller: SchemaTester) -> int:
    """Add a tenant without users: the only kind that can be deleted."""
    new = TenantChanges(name="Vacant", slug="vacant")
    async with (
        app.open_directory(caller.settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        return (await tenants.create(tx, new)).tenant.id


def prepare(caller: SchemaTester) -> None:
    """Let the paths of tenants hold their ids."""
    there = [tenant.id for tenant in caller.world.tenants.values()]
    there.append(asyncio.run(vacant_tenant(caller)))
    for operation in caller.document.operations:
        if "/tenants/" in operation.label:
            caller.at[operation.label] = {"id": there}


DOCUMENT = SchemaDocument(
    "wiwebb",
    DocumentOptions(
        path_values=ids,
        prepare=prepare,
        unique_fields={
            "username": "new{}",
            "email": "new{}@fresh.test",
            "name": "New {}",
            "slug": "new-{}",
        },
        body_overrides={
            "POST /api/v1/auth/login/": {"username": "olga", "password": PASSWORD},
            "POST /api/v1/auth/password/change/": {"old_password": PASSWORD},
        },
        single_use_operations=frozenset({"POST /api/v1/auth/logout/"}),
    ),
)


@pytest.mark.sqlite
@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda operation: operation.label)
def test_answers_are_those_of_the_document(
    database_templates: DatabaseTemplates, operation: Any
) -> None:
    """For every endpoint, asked by a superadmin."""
    with DOCUMENT.tester(database_templates, "sqlite", "root") as caller:
        DOCUMENT.run_all_cases(caller, operation)
    reached = {status for _, status in caller.statuses}
    assert operation.label in SKIPPED_OPERATIONS or reached & {200, 201, 204}, caller.statuses
    assert caller.statuses[operation.label, 401] <= 1, caller.statuses


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["ada", "olga", "mia", "nobody"])
def test_answers_to_others_are_too(database_templates: DatabaseTemplates, who: str) -> None:
    """Asked by an admin, an owner, a subscriber, and by who has no credential at all."""
    with DOCUMENT.tester(database_templates, "sqlite", who) as caller:
        DOCUMENT.run_sample(caller, every=9)
    if who == "nobody":
        done = {label for label, status in caller.statuses if status < 300}
        assert done <= {
            f"POST /api/v1/auth/{n}/" for n in ("registration", "login", "password/reset")
        }


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["root", "olga"])
def test_answers_are_the_same_ones_on_postgresql(
    database_templates: DatabaseTemplates, who: str
) -> None:
    """Fewer of them: what differs is the store alone."""
    with DOCUMENT.tester(database_templates, "postgresql", who) as caller:
        DOCUMENT.run_sample(caller, every=11)
