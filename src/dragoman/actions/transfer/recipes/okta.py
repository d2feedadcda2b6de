"""Okta: its CSV of people; it never gives away a password."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe

RECIPE = Recipe(
    name="okta",
    product="Okta",
    formats=("csv",),
    recognised_by=frozenset({"login", "firstName", "lastName", "honorificPrefix"}),
    fields={
        "username": "login",
        "email": "email",
        "first_name": "firstName",
        "last_name": "lastName",
        "display_name": "displayName",
        "phone": "mobilePhone",
        "company": "organization",
    },
    export="Okta's admin console: Reports, Okta usage, or the template of its CSV import",
)
