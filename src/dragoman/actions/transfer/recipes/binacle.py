"""Binacle.Net 1.3: the table ``users`` in Azure's table storage."""

from __future__ import annotations

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when
from dragoman.rules.model import Role


def _password_hash(row: Row) -> str:
    encoded = row.text("HashedPassword")
    return hash_spellings.binacle(encoded, row.text("Salt")) if encoded else ""


def _is_deleted(row: Row) -> bool:
    return row.flag("IsDeleted")


RECIPE = Recipe(
    name="binacle",
    product="Binacle.Net",
    formats=("csv",),
    recognised_by=frozenset({"NormalizedEmail", "HashedPassword", "Group"}),
    fields={"email": "Email", "active": "IsActive", "created_at": "CreatedAtUtc"},
    password_hash=_password_hash,
    role="Group",
    roles={"Admins": Role.OWNER, "Users": Role.MEMBER},
    skip=(when(_is_deleted, "deleted"),),
    export="Azure Storage Explorer: table users, Export (Binacle.Net 1.3)",
)
