"""Nextcloud: the table ``oc_users``, with the addresses of ``oc_preferences``."""

from __future__ import annotations

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row


def _password_hash(row: Row) -> str:
    return hash_spellings.nextcloud(row.text("password"))


RECIPE = Recipe(
    name="nextcloud",
    product="Nextcloud",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"uid", "uid_lower", "displayname", "password"}),
    fields={"username": "uid", "email": "email", "display_name": "displayname"},
    password_hash=_password_hash,
    export="SELECT … FROM oc_users, with the e-mail addresses of oc_preferences, as CSV",
)
