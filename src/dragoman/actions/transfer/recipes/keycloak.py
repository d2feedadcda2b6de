"""Keycloak: a realm file with its users, or the files of users alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, first_of, when
from dragoman.actions.transfer.recipes.shapes import objects

_BUILT_IN_ROLES = ("default-roles-", "offline_access", "uma_authorization")
_PHONES = ("phoneNumber", "phone_number", "phone", "mobile")


def _passwords(row: Row) -> list[Mapping[str, Any]]:
    return [each for each in objects(row, "credentials") if each.get("type") == "password"]


def _has_second_factor(row: Row) -> bool:
    return len(_passwords(row)) < len(objects(row, "credentials"))


def _password_hash(row: Row) -> str:
    passwords = _passwords(row)
    if not passwords:
        return ""
    credential = passwords[0]
    if "secretData" not in credential and "hashedSaltedValue" not in credential:
        # Realm files that are written by hand hold passwords in clear.
        return Row(credential, row.context).text("value")
    return hash_spellings.keycloak(credential)


def _realm_roles(row: Row) -> Any:
    found = row.get("realmRoles")
    if not isinstance(found, list):
        return found
    words = cast("list[Any]", found)
    return [word for word in words if not str(word).startswith(_BUILT_IN_ROLES)]


RECIPE = Recipe(
    name="keycloak",
    product="Keycloak",
    formats=("json",),
    list_paths=("users",),
    recognised_by=frozenset({"username", "enabled", "createdTimestamp"}),
    skip=(
        when("serviceAccountClientId", "the service account of a client, no person"),
        when("serviceAccountClientLink", "the service account of a client, no person"),
    ),
    fields={
        "username": "username",
        "email": "email",
        "verified": "emailVerified",
        "first_name": "firstName",
        "last_name": "lastName",
        "phone": first_of(*(f"attributes.{name}.0" for name in _PHONES)),
        "active": "enabled",
        "created_at": "createdTimestamp",
    },
    password_hash=_password_hash,
    role=_realm_roles,
    ignore_other_roles=True,
    warn=(
        when(
            _has_second_factor, "second factors (OTP, WebAuthn, recovery codes) are not taken over"
        ),
        when("federationLink", "comes from a user federation: its password is not in the file"),
        when("federatedIdentities", "links to identity providers are not taken over"),
        when("requiredActions", "required actions are not taken over"),
        when("groups", "groups are not taken over"),
        when("clientRoles", "roles at clients are not taken over"),
    ),
    export="kc.sh export --realm REALM --users same_file --file realm.json  # Keycloak 26",
)
