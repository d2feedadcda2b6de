"""The words of the accounts contract: forms, and the objects of its answers."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.errors import Problem
from dragoman.rules.model import Held, NewUser, Permission, User
from dragoman.rules.passwords import Floor
from dragoman.web import forms
from dragoman.web.forms import Field

LONGEST = 150
"""Characters in any text of this contract."""

FLOOR = Floor(minimum=1, maximum=LONGEST)
PERMISSIONS = "permissions"

_PASSWORD = Field(to="password", kind="secret", required=True, blank=False)
_USERNAME = Field(to="username", required=True, blank=False, limit=LONGEST)
_PROFILE = {
    "first_name": Field(to="first_name", limit=LONGEST),
    "last_name": Field(to="last_name", limit=LONGEST),
    "email": Field(to="email", limit=LONGEST),
    "username": _USERNAME,
}
SIGN_UP = {**_PROFILE, "password": _PASSWORD}
SIGN_IN = {"username": Field(to="username", required=True, blank=False), "password": _PASSWORD}
UPDATE = _PROFILE
SET_PASSWORD = {"password": _PASSWORD}
CHANGE_PASSWORD = {
    "current_password": Field(to="current", kind="secret", required=True, blank=False),
    **SET_PASSWORD,
}


def new_user(values: dict[str, Any]) -> NewUser:
    """Return what a user is made from, out of a form's values; a missing name is told elsewhere."""
    given: dict[str, Any] = {"username": "", **values}
    return NewUser(**given)


def permission_ids(body: dict[str, Any]) -> tuple[list[int], list[Problem]]:
    """Return the ids that a body lists under ``permissions``, or what is wrong with the list.

    As the framework does, it stops at the first item that is none.
    """
    if PERMISSIONS not in body:
        return [], [Problem(PERMISSIONS, "required")]
    given: Any = body[PERMISSIONS]
    if given is None:
        return [], [Problem(PERMISSIONS, "null")]
    if not isinstance(given, list):
        return [], [Problem(PERMISSIONS, "not_list", type(given).__name__)]
    ids: list[int] = []
    item: Any
    for item in given:
        number = forms.integer(item)
        if number is None:
            return [], [Problem(PERMISSIONS, "not_integer", type(item).__name__)]
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


def _told(user: User, held: Held) -> dict[str, Any]:
    return {
        "id": user.id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "username": user.username,
        "person": user.id,
        "groups": held.groups,
        "permissions": held.permissions,
    }


def user_out(user: User, held: Held) -> UserOut:
    """Return a user as the contract shows it."""
    return UserOut(**_told(user, held))


def signed_in_out(user: User, held: Held, token: str) -> SignedInOut:
    """Return a user who has just signed in, with its token."""
    return SignedInOut(**_told(user, held), token=token)


def permission_out(permission: Permission) -> dict[str, Any]:
    """Return a permission as the contract shows it."""
    return {"id": permission.id, "codename": permission.codename, "name": permission.name}
