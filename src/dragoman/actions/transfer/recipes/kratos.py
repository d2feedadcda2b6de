"""Ory Kratos: identities as its administrative API takes and gives them."""

from __future__ import annotations

from typing import Any

from dragoman.actions.transfer.recipes.recipe import Recipe, Row, first_of, when
from dragoman.actions.transfer.recipes.shapes import objects

_EMAIL = first_of("traits.email", "traits.emails.0")
"""The schema of ``traits`` is the operator's; these are the names of Ory's examples."""


def _name_part(part: str, *others: str) -> Any:
    def get(row: Row) -> Any:
        nested = f"traits.name.{part}"
        paths = others if isinstance(row.get("traits.name"), str) else (nested, *others)
        return first_of(*paths)(row)

    return get


def _display_name(row: Row) -> Any:
    name = row.get("traits.name")
    return name if isinstance(name, str) else row.get("traits.display_name")


def _verified(row: Row) -> Any:
    email = _EMAIL(row)
    addresses = objects(row, "verifiable_addresses")
    of_email = [each.get("verified") for each in addresses if each.get("value") == email]
    return of_email[0] if of_email else None


def _active(row: Row) -> bool:
    return row.text("state") != "inactive"


def _uses_hook(row: Row) -> bool:
    return row.flag("credentials.password.config.use_password_migration_hook")


def _password_hash(row: Row) -> Any:
    config = "credentials.password.config"
    return first_of(f"{config}.hashed_password", f"{config}.password")(row)


RECIPE = Recipe(
    name="kratos",
    product="Ory Kratos",
    formats=("json", "ndjson"),
    list_paths=("", "identities"),
    unwrap="create",
    recognised_by=frozenset({"schema_id", "traits"}),
    fields={
        "username": first_of("traits.username", "traits.preferred_username"),
        "email": _EMAIL,
        "verified": _verified,
        "first_name": _name_part("first", "traits.first_name", "traits.given_name"),
        "last_name": _name_part("last", "traits.last_name", "traits.family_name"),
        "display_name": _display_name,
        "phone": first_of("traits.phone", "traits.phone_number"),
        "active": _active,
        "created_at": "created_at",
    },
    password_hash=_password_hash,
    warn=(
        when("traits.emails.1", "more than one e-mail address: only the first is taken over"),
        when(_uses_hook, "no password: Kratos asks a web hook for it"),
        when("credentials.oidc", "links to identity providers are not taken over"),
        when("credentials.saml", "links to identity providers are not taken over"),
        when("credentials.totp", "second factors are not taken over"),
        when("credentials.webauthn", "second factors are not taken over"),
        when("credentials.lookup_secret", "second factors are not taken over"),
        when("metadata_public", "metadata are not taken over"),
        when("metadata_admin", "metadata are not taken over"),
    ),
    export="GET /admin/identities?include_credential=password  # Ory Kratos 1.3",
)
