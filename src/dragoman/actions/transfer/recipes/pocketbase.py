"""PocketBase: the table ``users`` of its SQLite file; its API never shows a hash."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe, Row


def _password_hash(row: Row) -> str:
    return row.text("password") or row.text("passwordHash")  # the latter before version 0.23


RECIPE = Recipe(
    name="pocketbase",
    product="PocketBase",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"tokenKey", "emailVisibility"}),
    fields={
        "username": "username",
        "email": "email",
        "verified": "verified",
        "display_name": "name",
        "created_at": "created",
    },
    password_hash=_password_hash,
    export='sqlite3 -header pb_data/data.db "select * from users"',
)
