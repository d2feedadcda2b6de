"""How requests are made from the binacle contract's ``openapi.yaml``."""

from __future__ import annotations

from typing import Any

from tests.support.schema_checks import DocumentOptions, SchemaDocument
from tests.support.world import PASSWORD, World


def addresses(world: World) -> dict[str, list[Any]]:
    """Return whom an owner of acme finds, and one that it does not."""
    reach = ("olga", "otto", "mia", "idle", "vic")
    return {"email": [world.people[name].email for name in (*reach, "gus", *reach)]}


def is_allowed_deviation(failure: str, text: str) -> bool:
    """A 400 has no body where the request's own could not be read, which OpenAPI cannot say."""
    _, _, reason = failure.rpartition(": ")
    return reason in {"MissingContentType 400", "MalformedJson 400"} and "<EMPTY>" in text


DOCUMENT = SchemaDocument(
    "binacle",
    DocumentOptions(
        path_values=addresses,
        is_allowed_deviation=is_allowed_deviation,
        unique_fields={"email": "new{}@fresh.test"},
        body_overrides={"POST /api/auth/token": {"email": "otto@acme.test", "password": PASSWORD}},
    ),
)
