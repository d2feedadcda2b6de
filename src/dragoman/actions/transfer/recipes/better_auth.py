"""Better Auth: its tables ``user`` and ``account`` in one JSON document."""

from __future__ import annotations

from typing import Any

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, SeparateHashes, first_of, when
from dragoman.rules.model import Role


def _credential(row: Row) -> Any:
    return row.get("password") if row.text("providerId") == "credential" else None


def _password_hash(row: Row) -> str:
    find_hash = row.context.find_hash
    found = find_hash(row.text("id")) if find_hash else None
    return hash_spellings.better_auth(found) if found else ""


def _active(row: Row) -> bool:
    """Return False for people with a ban that is not over."""
    ends_at = row.moment("banExpires")
    return not row.flag("banned") or 0 < ends_at < row.context.now


def _roles(row: Row) -> list[str]:
    return row.text("role").split(",")


RECIPE = Recipe(
    name="better-auth",
    product="Better Auth",
    formats=("json",),
    list_paths=("user", "users"),
    recognised_by=frozenset({"id", "name", "email", "emailVerified", "createdAt"}),
    skip=(when(lambda row: row.flag("isAnonymous"), "an anonymous session, no person"),),
    fields={
        "username": first_of("displayUsername", "username"),
        "email": "email",
        "verified": "emailVerified",
        "display_name": "name",
        "phone": "phoneNumber",
        "active": _active,
        "created_at": "createdAt",
    },
    password_hash=_password_hash,
    hashes=SeparateHashes(list_paths=("account", "accounts"), key="userId", value=_credential),
    role=_roles,
    roles={"admin": Role.OWNER, "user": Role.MEMBER},
    ignore_other_roles=True,
    warn=(when("twoFactorEnabled", "second factors are not taken over"),),
    export='the tables user and account as {"user": [...], "account": [...]}  # Better Auth 1',
)
