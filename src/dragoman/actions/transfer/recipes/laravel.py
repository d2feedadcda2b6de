"""Laravel: the table ``users`` of an application."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import SECOND_FACTOR, Recipe, present, when

RECIPE = Recipe(
    name="laravel",
    product="Laravel",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"email_verified_at", "remember_token", "password"}),
    fields={
        "username": "username",
        "email": "email",
        "verified": present("email_verified_at"),
        "display_name": "name",
        "created_at": "created_at",
    },
    password_hash="password",
    skip=(when("deleted_at", "deleted"),),
    warn=(when("two_factor_secret", SECOND_FACTOR),),
    export="SELECT * FROM users, as CSV",
)
