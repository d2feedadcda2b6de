"""How requests are made from the vsay contract's ``openapi.yaml``."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from dragoman import app
from dragoman.settings import Rate
from tests.support.pending_invitations import REFRESH, SECRET_OPERATIONS, invite
from tests.support.schema_checks import DocumentOptions, SchemaDocument, SchemaTester
from tests.support.world import PASSWORD, World


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"id": [f"usr_{world.people[name].public_id}" for name in (*reach, "gus", *reach)]}


PUBLIC = {*SECRET_OPERATIONS, "POST /auth/login", "POST /auth/refresh"}


def prepare(caller: SchemaTester) -> None:
    """Put invitations into a fresh world, and let everybody call as often as they like."""
    made = asyncio.run(invite(caller.settings))
    for operation in caller.document.operations:
        known = made.secrets if operation.label in SECRET_OPERATIONS else made.ids
        caller.at[operation.label] = {"invitation": known}
    unlimited = msgspec.structs.replace(caller.settings, user_rate=Rate(0, 1))
    caller.document.stage.application = app.create(unlimited)


DOCUMENT = SchemaDocument(
    "vsay",
    DocumentOptions(
        path_values=ids,
        prepare=prepare,
        unique_fields={"email": "new{}@fresh.test"},
        body_overrides={
            "POST /auth/login": {"email": "olga@acme.test", "password": PASSWORD},
            "POST /auth/refresh": REFRESH,
        },
        single_use_operations=frozenset({"POST /auth/logout"}),
    ),
)
