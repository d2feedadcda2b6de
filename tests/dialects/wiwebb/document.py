"""How requests are made from the wiwebb contract's ``openapi.yaml``."""

from __future__ import annotations

import asyncio
from typing import Any

from dragoman import app
from dragoman.actions import tenants
from dragoman.actions.system import system_actor
from dragoman.rules.model import TenantChanges
from tests.support.schema_checks import DocumentOptions, SchemaDocument, SchemaTester
from tests.support.world import PASSWORD, World

SKIPPED_OPERATIONS = {
    "POST /api/v1/auth/password/reset/confirm/",
    "POST /api/v1/auth/registration/verify-email/",
    "GET /api/v1/tenants/me/",
}
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
