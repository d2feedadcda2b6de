"""Wekan: the collection ``users`` as mongoexport writes it, with or without ``--jsonArray``."""

from __future__ import annotations

from typing import Any

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.actions.transfer.recipes.hash_spellings import HashProblem
from dragoman.actions.transfer.recipes.recipe import Recipe, Row, when
from dragoman.actions.transfer.recipes.shapes import mongo_time, objects, split_name
from dragoman.rules.crypto import PUBLIC_ID_LENGTH, READABLE_ALPHABET
from dragoman.rules.model import Role


def _public_id(row: Row) -> str | None:
    """Return an id of Meteor's; one of MongoDB's has another alphabet and stays behind."""
    found = row.get("_id")
    if not isinstance(found, str) or len(found) != PUBLIC_ID_LENGTH:
        return None
    return found if set(found) <= set(READABLE_ALPHABET) else None


def _email(row: Row) -> Any:
    emails = objects(row, "emails")
    return emails[0].get("address") if emails else None


def _verified(row: Row) -> Any:
    emails = objects(row, "emails")
    return emails[0].get("verified") if emails else None


def _has_other_emails(row: Row) -> bool:
    return len(objects(row, "emails")) > 1


def _first_name(row: Row) -> str:
    return split_name(row.text("profile.fullname"))[0]


def _last_name(row: Row) -> str:
    return split_name(row.text("profile.fullname"))[1]


def _is_external(row: Row) -> bool:
    """Return whether another server checks the password: LDAP, OAuth 2, OIDC, SAML, CAS."""
    return row.text("authenticationMethod") not in {"", "password"}


def _password_hash(row: Row) -> str:
    if _is_external(row):
        return ""
    encoded = row.text("services.password.argon2") or row.text("services.password.bcrypt")
    if not encoded and row.get("services.password.srp") is not None:
        raise HashProblem("SRP, of Meteor before 0.8.2, is not taken over", "refused_hash")
    return hash_spellings.meteor(encoded)


def _role(row: Row) -> str:
    return "isAdmin" if row.flag("isAdmin") else ""


RECIPE = Recipe(
    name="wekan",
    product="Wekan",
    formats=("ndjson", "json"),
    recognised_by=frozenset({"_id", "services", "profile"}),
    fields={
        "public_id": _public_id,
        "username": "username",
        "email": _email,
        "verified": _verified,
        "first_name": _first_name,
        "last_name": _last_name,
        "display_name": "profile.fullname",
        "active": lambda row: not row.flag("loginDisabled"),
        "created_at": lambda row: mongo_time(row, "createdAt"),
        "last_login_at": lambda row: mongo_time(row, "lastConnectionDate"),
    },
    password_hash=_password_hash,
    role=_role,
    roles={"isAdmin": Role.OWNER},
    warn=(
        when(_has_other_emails, "more than one e-mail address: only the first is taken over"),
        when(_is_external, "signs in through LDAP, OAuth 2 or the like: has no password here"),
        when("orgs", "organisations are not taken over"),
        when("teams", "teams are not taken over"),
    ),
    export="mongoexport --db wekan --collection users --out users.ndjson  # Wekan 7, MongoDB 7",
)
