"""Drupal 7 to 11: the table ``users``, or ``users_field_data``."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when


def _is_visitor(row: Row) -> bool:
    return row.text("uid") == "0"


RECIPE = Recipe(
    name="drupal",
    product="Drupal",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"uid", "name", "mail", "pass", "status"}),
    fields={
        "username": "name",
        "email": "mail",
        "active": "status",
        "created_at": "created",
        "last_login_at": "login",
    },
    password_hash="pass",
    skip=(when(_is_visitor, "the anonymous visitor"),),
    export="SELECT uid, name, mail, pass, status, created, login FROM users_field_data, as CSV",
)
