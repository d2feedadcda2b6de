"""Gitea and Forgejo: the table ``user``."""

from __future__ import annotations

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.recipe import OTHER_SIGN_IN, Recipe, Row, when
from dragoman.rules.model import Role

_PERSON = {"", "0"}
_OTHER_TYPES = {"1": "an organisation, no person", "4": "a bot, no person"}
_OWN_PASSWORD = {"", "0", "1"}
"""Values of ``login_type`` of accounts whose password is Gitea's own (models/auth/source.go)."""


def _no_person(row: Row) -> str:
    kind = row.text("type")
    return "" if kind in _PERSON else _OTHER_TYPES.get(kind, "no person")


def _signs_in_elsewhere(row: Row) -> bool:
    return row.text("login_type") not in _OWN_PASSWORD


def _active(row: Row) -> bool:
    return row.flag("is_active") and not row.flag("prohibit_login")


def _role(row: Row) -> str:
    return "is_admin" if row.flag("is_admin") else ""


def _password_hash(row: Row) -> str:
    passwd = row.text("passwd")
    if not passwd or _signs_in_elsewhere(row):
        return ""
    return hash_spellings.gitea(passwd, row.text("salt"), row.text("passwd_hash_algo"))


RECIPE = Recipe(
    name="gitea",
    product="Gitea or Forgejo",
    formats=("csv", "tsv"),
    recognised_by=frozenset({"lower_name", "passwd", "passwd_hash_algo"}),
    fields={
        "username": "name",
        "email": "email",
        "display_name": "full_name",
        "location": "location",
        "url": "website",
        "bio": "description",
        "active": _active,
        "created_at": "created_unix",
        "last_login_at": "last_login_unix",
    },
    password_hash=_password_hash,
    role=_role,
    roles={"is_admin": Role.OWNER},
    skip=(_no_person,),
    warn=(when(_signs_in_elsewhere, OTHER_SIGN_IN),),
    export='sqlite3 -csv -header gitea.db "SELECT * FROM user"',
)
