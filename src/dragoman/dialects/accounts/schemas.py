"""The words of the accounts contract: forms, and the objects of its answers."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.errors import Problem
from dragoman.rules.model import NewUser, Permission, User, UserGrants
from dragoman.rules.passwords import PasswordRules
from dragoman.web import forms
from dragoman.web.forms import Field

MAX_LENGTH = 150
"""Characters in any text of this contract."""

PASSWORD_RULES = PasswordRules(min_length=1, max_length=MAX_LENGTH)
PERMISSIONS_KEY = "permissions"

_PASSWORD = Field(name="password", data_type="secret", required=True, blank=False)
_USERNAME = Field(name="username", required=True, blank=False, max_length=MAX_LENGTH)
_PROFILE = {
    "first_name": Field(name="first_name", max_length=MAX_LENGTH),
    "last_name": Field(name="last_name", max_length=MAX_LENGTH),
    "email": Field(name="email", max_length=MAX_LENGTH),
    "username": _USERNAME,
}
REGISTER = {**_PROFILE, "password": _PASSWORD}
LOGIN = {"username": Field(name="username", required=True, blank=False), "password": _PASSWORD}
UPDATE = _PROFILE
SET_PASSWORD = {"password": _PASSWORD}
CHANGE_PASSWORD = {
    "current_password": Field(name="current", data_type="secret", required=True, blank=False),
    **SET_PASSWORD,
}


def new_user(values: dict[str, Any]) -> NewUser:
    """Return what a user is made from, out of a form's values; a missing name is told elsewhere."""
    fields: dict[str, Any] = {"username": "", **values}
    return NewUser(**fields)


def parse_permission_ids(body: dict[str, Any]) -> tuple[list[int], list[Problem]]:
    """Return the ids that a body lists under ``permissions``, or what is wrong with the list.

    As the framework does, it stops at the first item that is none.
    """
    if PERMISSIONS_KEY not in body:
        return [], [Problem(PERMISSIONS_KEY, "required")]
    items: Any = body[PERMISSIONS_KEY]
    if items is None:
        return [], [Problem(PERMISSIONS_KEY, "null")]
    if not isinstance(items, list):
        return [], [Problem(PERMISSIONS_KEY, "not_list", type(items).__name__)]
    ids: list[int] = []
    item: Any
    for item in items:
        number = forms.parse_integer(item)
        if number is None:
            return [], [Problem(PERMISSIONS_KEY, "not_integer", type(item).__name__)]
        ids.append(number)
    return ids, []


class UserOut(msgspec.Struct, frozen=True):
    """The eight fields of a user, in the contract's order; ``person`` equals ``id``."""

    id: int
    first_name: str
    last_name: str
    email: str
    username: str
    person: int
    groups: tuple[int, ...]
    permissions: tuple[int, ...]


class SignedInOut(UserOut, frozen=True):
    """A user with the token that signing in made."""

    token: str


def _user_fields(user: User, grants: UserGrants) -> dict[str, Any]:
    return {
        "id": user.id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "username": user.username,
        "person": user.id,
        "groups": grants.group_ids,
        "permissions": grants.permission_ids,
    }


def user_out(user: User, grants: UserGrants) -> UserOut:
    """Return a user as the contract shows it."""
    return UserOut(**_user_fields(user, grants))


def signed_in_out(user: User, grants: UserGrants, token: str) -> SignedInOut:
    """Return a user who has just signed in, with its token."""
    return SignedInOut(**_user_fields(user, grants), token=token)


def permission_out(permission: Permission) -> dict[str, Any]:
    """Return a permission as the contract shows it."""
    return {"id": permission.id, "codename": permission.codename, "name": permission.name}
