"""ASP.NET Core Identity: the table ``AspNetUsers``."""

from __future__ import annotations

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import SECOND_FACTOR, Recipe, Row, when
from dragoman.rules.model import DAY

_FOR_EVER = 50 * 365 * DAY
"""How far in the future a lock ends that somebody set for good, as 9999-12-31."""


def _active(row: Row) -> bool:
    return row.moment("LockoutEnd") < row.context.now + _FOR_EVER


def _password_hash(row: Row) -> str:
    encoded = row.text("PasswordHash")
    return hash_spellings.aspnet_identity(encoded) if encoded else ""


def _has_second_factor(row: Row) -> bool:
    return row.flag("TwoFactorEnabled")


RECIPE = Recipe(
    name="aspnet",
    product="ASP.NET Core Identity",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"NormalizedUserName", "PasswordHash", "SecurityStamp"}),
    fields={
        "username": "UserName",
        "email": "Email",
        "verified": "EmailConfirmed",
        "phone": "PhoneNumber",
        "active": _active,
    },
    password_hash=_password_hash,
    warn=(when(_has_second_factor, SECOND_FACTOR),),
    export="SELECT * FROM AspNetUsers, saved as CSV with its headers",
)
