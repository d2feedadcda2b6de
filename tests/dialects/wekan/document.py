"""How requests are made from the wekan contract's ``openapi.yaml``."""

from __future__ import annotations

from typing import Any

from tests.support.schema_checks import DocumentOptions, SchemaDocument
from tests.support.world import PASSWORD, World


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, by id or name, and one that it does not."""
    reach = [world.people[name].public_id for name in ("olga", "otto", "mia", "idle", "vic")]
    return {"id": [*reach, "mia", world.people["gus"].public_id, *reach]}


DOCUMENT = SchemaDocument(
    "wekan",
    DocumentOptions(
        path_values=ids,
        unique_fields={"username": "new{}", "email": "new{}@fresh.test"},
        body_overrides={
            "POST /users/login": {"username": "olga", "email": "olga", "password": PASSWORD},
            "POST /api/deletetoken": {"userId": "vic"},
        },
        single_use_operations=frozenset({"POST /users/logout"}),
    ),
)
