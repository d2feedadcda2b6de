"""Django: the table ``auth_user`` as psql, sqlite3 or mysql write it."""

from __future__ import annotations

from dragoman.actions.transfer.recipes.recipe import Recipe, Row
from dragoman.rules.model import Role


def _role(row: Row) -> str:
    return "is_superuser" if row.flag("is_superuser") else ""


RECIPE = Recipe(
    name="django",
    product="Django",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"password", "is_superuser", "is_staff", "date_joined"}),
    fields={
        "username": "username",
        "email": "email",
        "first_name": "first_name",
        "last_name": "last_name",
        "active": "is_active",
        "created_at": "date_joined",
        "last_login_at": "last_login",
    },
    password_hash="password",
    role=_role,
    roles={"is_superuser": Role.OWNER},
    export='psql -c "\\copy auth_user to users.csv csv header" (Django 5.2 on PostgreSQL)',
)
