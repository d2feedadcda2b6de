"""Forms and response objects of the accounts contract."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.errors import Problem
from dragoman.rules.model import NewUser, Permission, User, UserGrants
from dragoman.rules.passwords import PasswordRules
from dragoman.web import forms
from dragoman.web.forms import Field

MAX_LENGTH = 150
"""Maximum number of characters in every text of this contract."""

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
    """Return the new user of a form's values; a missing username is reported by the form."""
    fields: dict[str, Any] = {"username": "", **values}
    return NewUser(**fields)


def parse_permission_ids(body: dict[str, Any]) -> tuple[list[int], list[Problem]]:
    """Return the ids under ``permissions``, or the problem of the list.

    Only the first invalid item is reported, as in Django REST framework.
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
    """A user; ``person`` equals ``id``. The fields are in the contract's order."""

    id: int
    first_name: str
    last_name: str
    email: str
    username: str
    person: int
    groups: tuple[int, ...]
    permissions: tuple[int, ...]


class SignedInOut(UserOut, frozen=True):
    """A user with a new token."""

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
    """Return a user in the contract's format."""
    return UserOut(**_user_fields(user, grants))


def signed_in_out(user: User, grants: UserGrants, token: str) -> SignedInOut:
    """Return a user with its new token, in the contract's format."""
    return SignedInOut(**_user_fields(user, grants), token=token)


def permission_out(permission: Permission) -> dict[str, Any]:
    """Return a permission in the contract's format."""
    return {"id": permission.id, "codename": permission.codename, "name": permission.name}
