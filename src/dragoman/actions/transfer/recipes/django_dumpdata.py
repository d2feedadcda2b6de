"""Django: the JSON of ``manage.py dumpdata``, of Django's user model or another one."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.actions.transfer.recipes.recipe import Recipe, Row, first_of, when
from dragoman.rules.model import Role


def _is_user(row: Row) -> bool:
    """Return whether the object is a user: only AbstractBaseUser has these two fields."""
    fields = row.get("fields")
    return isinstance(fields, Mapping) and "password" in fields and "last_login" in fields


def _role(row: Row) -> str:
    return "is_superuser" if row.flag("fields.is_superuser") else ""


RECIPE = Recipe(
    name="django",
    product="Django",
    formats=("json",),
    recognised_by=frozenset({"model", "fields"}),
    only=_is_user,
    fields={
        "username": "fields.username",
        "email": "fields.email",
        "first_name": "fields.first_name",
        "last_name": "fields.last_name",
        "display_name": first_of("fields.name", "fields.full_name"),
        "phone": first_of("fields.phone", "fields.phone_number"),
        "active": "fields.is_active",
        "created_at": "fields.date_joined",
        "last_login_at": "fields.last_login",
    },
    password_hash="fields.password",
    role=_role,
    roles={"is_superuser": Role.OWNER},
    warn=(
        when("fields.groups", "groups are not taken over"),
        when("fields.user_permissions", "permissions of single users are not taken over"),
    ),
    export="manage.py dumpdata auth.user --output users.json  # Django 5.2",
)
