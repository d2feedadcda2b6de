"""Auth0: the export of users, and the file of hashes that its support hands out."""

from __future__ import annotations

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, SeparateHashes, when
from dragoman.actions.transfer.recipes.shapes import objects

_DATABASE = "auth0|"
"""Begins the ids of people whose password Auth0 keeps."""


def _display_name(row: Row) -> str:
    """Return the name, unless Auth0 filled it in with the e-mail address."""
    name = row.text("name")
    return "" if name == row.text("email") else name


def _password_hash(row: Row) -> str:
    if (custom := row.get("custom_password_hash")) is not None:
        return hash_spellings.auth0(custom)
    if encoded := row.text("password_hash") or row.text("passwordHash"):
        return encoded
    user_id = row.text("user_id")
    if row.context.find_hash is None or not user_id.startswith(_DATABASE):
        return ""
    return row.context.find_hash(user_id.removeprefix(_DATABASE)) or ""


def _lacks_file(row: Row) -> bool:
    return (
        row.context.find_hash is None
        and row.text("user_id").startswith(_DATABASE)
        and not _password_hash(row)
    )


def _has_other_identities(row: Row) -> bool:
    return any(each.get("provider") not in (None, "auth0") for each in objects(row, "identities"))


RECIPE = Recipe(
    name="auth0",
    product="Auth0",
    formats=("ndjson", "json"),
    recognised_by=frozenset({"user_id", "email_verified", "identities"}),
    fields={
        "username": "username",
        "email": "email",
        "verified": "email_verified",
        "first_name": "given_name",
        "last_name": "family_name",
        "display_name": _display_name,
        "phone": "phone_number",
        "active": lambda row: not row.flag("blocked"),
        "created_at": "created_at",
        "last_login_at": "last_login",
    },
    password_hash=_password_hash,
    hashes=SeparateHashes(key="_id.$oid", value="passwordHash"),
    warn=(
        when(_lacks_file, "no password: the hashes are in a second file (--passwords FILE)"),
        when(_has_other_identities, "links to identity providers are not taken over"),
        when("multifactor", "second factors are not taken over"),
        when("mfa_factors", "second factors are not taken over"),
        when("app_metadata", "app_metadata is not taken over"),
        when("user_metadata", "user_metadata is not taken over"),
    ),
    export="""auth0 api post jobs/users-exports --data '{"format": "json"}'  # Auth0""",
)
