"""WordPress: the table ``wp_users``, with the roles of ``wp_usermeta``."""

from __future__ import annotations

import re

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when
from dragoman.rules.model import Role

_GRANTED = re.compile(r's:\d+:"([^"]{1,60})";b:1;')
"""A role in PHP's serialization of an array, such as ``a:1:{s:6:"editor";b:1;}``."""


def _roles(row: Row) -> list[str]:
    return _GRANTED.findall(row.text("wp_capabilities"))


def _password_hash(row: Row) -> str:
    return hash_spellings.wordpress(row.text("user_pass"))


def _active(row: Row) -> bool:
    return not row.flag("spam")


def _is_deleted(row: Row) -> bool:
    return row.flag("deleted")


RECIPE = Recipe(
    name="wordpress",
    product="WordPress",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"user_login", "user_pass", "user_email"}),
    fields={
        "username": "user_login",
        "email": "user_email",
        "first_name": "first_name",
        "last_name": "last_name",
        "display_name": "display_name",
        "url": "user_url",
        "active": _active,
        "created_at": "user_registered",
    },
    password_hash=_password_hash,
    role=_roles,
    roles={
        "administrator": Role.OWNER,
        "editor": Role.MEMBER,
        "author": Role.MEMBER,
        "contributor": Role.MEMBER,
        "subscriber": Role.MEMBER,
    },
    skip=(when(_is_deleted, "deleted"),),
    export="SELECT … FROM wp_users, with wp_capabilities of wp_usermeta, as CSV",
)
