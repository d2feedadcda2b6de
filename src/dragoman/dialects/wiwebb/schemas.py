"""WiWebb's words: roles, forms, and the objects of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dragoman.actions.tenants import Counted
from dragoman.rules.errors import Problem
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import Floor
from dragoman.web.forms import Field

FLOOR = Floor(minimum=8, common=True, numeric=True, similar=True)

WORDS: dict[Role, str] = {
    Role.SUPERADMIN: "superadmin",
    Role.ADMIN: "admin",
    Role.OWNER: "tenant_owner",
    Role.MEMBER: "subscriber",
    Role.VIEWER: "subscriber",
}
ROLES: dict[str, Role] = {
    "superadmin": Role.SUPERADMIN,
    "admin": Role.ADMIN,
    "tenant_owner": Role.OWNER,
    "subscriber": Role.MEMBER,
}
READ_AS: dict[str, frozenset[Role]] = {
    word: frozenset(role for role, read in WORDS.items() if read == word) for word in ROLES
}
RANKS: tuple[int, ...] = tuple(sorted(ROLES).index(WORDS[role]) for role in Role)
"""Roles are ordered by their words, as this contract's clients know it."""

_PROFILE = {
    "first_name": Field(to="first_name"),
    "last_name": Field(to="last_name"),
    "phone_number": Field(to="phone"),
    "bio": Field(to="bio"),
    "url": Field(to="url"),
    "company": Field(to="company"),
    "location": Field(to="location"),
}
_EMAIL = Field(to="email", required=True, blank=False)
_USERNAME = Field(to="username", required=True, blank=False)
_NEW_PASSWORD = Field(to="password", kind="secret", required=True, blank=False)
_AGAIN = Field(to="password2", kind="secret", required=True, blank=False)
_ACTIVE = Field(to="active", kind="boolean")

CREATE = {
    "username": _USERNAME,
    "email": _EMAIL,
    "password": _NEW_PASSWORD,
    **_PROFILE,
    "role": Field(to="role", required=True),
    "tenant": Field(to="tenant_id", kind="integer", null=True),
    "is_active": _ACTIVE,
}
UPDATE = {"email": _EMAIL, **_PROFILE, "is_active": _ACTIVE}
ACTIVATE = {"is_active": Field(to="active", kind="boolean", required=True)}
SET_PASSWORD = {"password": _NEW_PASSWORD}
SET_PASSWORD_TWICE = {
    "new_password1": Field(to="password1", kind="secret", required=True, blank=False),
    "new_password2": _AGAIN,
}
REGISTER = {
    "username": _USERNAME,
    "email": _EMAIL,
    "password1": Field(to="password1", kind="secret", required=True, blank=False),
    "password2": _AGAIN,
    "first_name": Field(to="first_name"),
    "last_name": Field(to="last_name"),
}
PAIR = {
    "password": "new_password2",
    "password1": "new_password1",
    "password2": "new_password2",
    "current": "old_password",
}
"""What the forms with a pair of new passwords call the directory's fields."""
CHANGE = {
    "old_password": Field(to="current", kind="secret", required=True, blank=False),
    **SET_PASSWORD_TWICE,
}
RESET = {"email": _EMAIL}
CONFIRM = {
    "uid": Field(to="uid", required=True, blank=False),
    "token": Field(to="token", required=True, blank=False),
    **SET_PASSWORD_TWICE,
}
TENANT = {
    "name": Field(to="name", required=True, blank=False),
    "slug": Field(to="slug", required=True, blank=False),
    "email": Field(to="email"),
    "url": Field(to="url"),
    "description": Field(to="description"),
    "is_active": _ACTIVE,
}

ORDERS = {
    "id": "id",
    "username": "username",
    "email": "email",
    "first_name": "first_name",
    "last_name": "last_name",
    "role": "role",
    "date_joined": "created_at",
    "last_login": "last_login_at",
    "is_active": "active",
}
TENANT_ORDERS = {
    "id": "id",
    "name": "name",
    "slug": "slug",
    "is_active": "active",
    "created_at": "created_at",
}


def both(values: dict[str, Any], problems: list[Problem]) -> str:
    """Take a pair of passwords out of a form's values; return the one that stands in both.

    It is empty, with a problem that says why, if none does.
    """
    first, second = values.pop("password1", ""), values.pop("password2", "")
    if any(problem.field in {"password1", "password2"} for problem in problems):
        return ""
    if first != second:
        problems.append(Problem("password2", "mismatch"))
        return ""
    return first


def new_user(values: dict[str, Any], role: Role = Role.MEMBER) -> NewUser:
    """Return what a user is made from, out of a form's values; a missing name is told elsewhere."""
    given: dict[str, Any] = {"username": "", **values, "role": role}
    return NewUser(**given)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime | None:
    """Return a time, which is written as ``2025-11-30T16:00:00Z``; None for "never"."""
    return _EPOCH + timedelta(microseconds=microseconds) if microseconds else None


class UserOut(msgspec.Struct, frozen=True):
    """The sixteen fields of a user, in the contract's order."""

    id: int
    username: str
    email: str
    first_name: str
    last_name: str
    role: str
    tenant: int | None
    tenant_name: str | None
    is_active: bool
    phone_number: str
    bio: str
    url: str
    company: str
    location: str
    date_joined: datetime | None
    last_login: datetime | None


def user_out(user: User) -> UserOut:
    """Return a user as the contract shows it."""
    return UserOut(
        user.id,
        user.username,
        user.email,
        user.first_name,
        user.last_name,
        WORDS[user.role],
        user.tenant_id,
        user.tenant_name,
        user.active,
        user.phone,
        user.bio,
        user.url,
        user.company,
        user.location,
        moment(user.created_at),
        moment(user.last_login_at),
    )


def part_of(user: User, *names: str) -> dict[str, Any]:
    """Return some of a user's sixteen fields, in the order of ``names``."""
    out = user_out(user)
    return {name: getattr(out, name) for name in names}


def tenant_out(counted: Counted) -> dict[str, Any]:
    """Return a tenant as the contract shows it."""
    tenant = counted.tenant
    return {
        "id": tenant.id,
        "uuid": tenant.public_id,
        "name": tenant.name,
        "slug": tenant.slug,
        "email": tenant.email,
        "url": tenant.url,
        "description": tenant.description,
        "is_active": tenant.active,
        "user_count": counted.users,
        "created_at": moment(tenant.created_at),
        "updated_at": moment(tenant.updated_at),
    }
