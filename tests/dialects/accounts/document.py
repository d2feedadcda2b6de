"""How requests are made from the accounts contract's ``openapi.yaml``."""

from __future__ import annotations

from typing import Any

from tests.support.schema_checks import DocumentOptions, SchemaDocument
from tests.support.world import PASSWORD, World


def ids(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"id": [world.people[name].id for name in (*reach, "gus", *reach)]}


DOCUMENT = SchemaDocument(
    "accounts",
    DocumentOptions(
        path_values=ids,
        unique_fields={"username": "new{}", "email": "new{}@fresh.test"},
        body_overrides={
            "POST /api/users/signin": {"username": "olga", "password": PASSWORD},
            "PUT /api/users/{id}": {"current_password": PASSWORD},
            "PUT /api/users/{id}/permissions": {"permissions": [1, 2, 3]},
            "DELETE /api/users/{id}/permissions": {"permissions": [2, 3]},
        },
    ),
)
