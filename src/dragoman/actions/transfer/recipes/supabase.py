"""Supabase: the table ``auth.users``."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.actions.transfer.recipes.recipe import (
    OTHER_SIGN_IN,
    PHONE_SIGN_IN,
    Recipe,
    Row,
    present,
    when,
)


def _metadata(row: Row, column: str) -> dict[str, Any]:
    """Return a column of JSON, which the application fills as it likes; empty if it is none."""
    try:
        return msgspec.json.decode(row.text(column) or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}


def _display_name(row: Row) -> str:
    metadata = _metadata(row, "raw_user_meta_data")
    names = (metadata.get(name) for name in ("full_name", "name", "display_name"))
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def _active(row: Row) -> bool:
    return row.moment("banned_until") <= row.context.now


def _is_anonymous(row: Row) -> bool:
    return row.flag("is_anonymous")


def _signs_in_elsewhere(row: Row) -> bool:
    provider = _metadata(row, "raw_app_meta_data").get("provider", "email")
    return not row.text("encrypted_password") and provider not in ("email", "phone")


RECIPE = Recipe(
    name="supabase",
    product="Supabase",
    formats=("csv",),
    recognised_by=frozenset({"encrypted_password", "raw_app_meta_data", "aud"}),
    fields={
        "email": "email",
        "verified": present("email_confirmed_at"),
        "display_name": _display_name,
        "phone": "phone",
        "active": _active,
        "created_at": "created_at",
        "last_login_at": "last_sign_in_at",
    },
    password_hash="encrypted_password",
    skip=(when("deleted_at", "deleted"), when(_is_anonymous, "an anonymous session, no person")),
    warn=(when("phone", PHONE_SIGN_IN), when(_signs_in_elsewhere, OTHER_SIGN_IN)),
    export='psql -c "\\copy auth.users to users.csv csv header"',
)
