"""WiWebb's roles, forms and response objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from dragoman.actions.tenants import TenantWithCount
from dragoman.rules.errors import Problem
from dragoman.rules.model import SECOND, NewUser, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.web import forms
from dragoman.web.forms import Field

PASSWORD_RULES = PasswordRules(
    min_length=8, reject_common=True, reject_numeric=True, reject_similar=True
)

ROLE_NAMES: dict[Role, str] = {
    Role.SUPERADMIN: "superadmin",
    Role.ADMIN: "admin",
    Role.OWNER: "tenant_owner",
    Role.MEMBER: "subscriber",
    Role.VIEWER: "subscriber",
}
ROLES_BY_NAME: dict[str, Role] = {
    "superadmin": Role.SUPERADMIN,
    "admin": Role.ADMIN,
    "tenant_owner": Role.OWNER,
    "subscriber": Role.MEMBER,
}
ROLES_SHOWN_AS: dict[str, frozenset[Role]] = {
    name: frozenset(role for role, role_name in ROLE_NAMES.items() if role_name == name)
    for name in ROLES_BY_NAME
}
"""Name of a role → all roles that are shown by this name."""
ROLE_SORT_KEYS: tuple[int, ...] = tuple(
    sorted(ROLES_BY_NAME).index(ROLE_NAMES[role]) for role in Role
)
"""Sort key of each role: lists are ordered by the roles' names."""

_PROFILE = {
    "first_name": Field(name="first_name"),
    "last_name": Field(name="last_name"),
    "phone_number": Field(name="phone"),
    "bio": Field(name="bio"),
    "url": Field(name="url"),
    "company": Field(name="company"),
    "location": Field(name="location"),
}
_EMAIL = Field(name="email", required=True, blank=False)
_USERNAME = Field(name="username", required=True, blank=False)
_NEW_PASSWORD = Field(name="password", data_type="secret", required=True, blank=False)
_REPEATED_PASSWORD = Field(name="password2", data_type="secret", required=True, blank=False)
_ACTIVE = Field(name="active", data_type="boolean")

LOGIN = {
    "username": Field(name="username", blank=False),
    "email": Field(name="email", blank=False),
    "password": _NEW_PASSWORD,
}
CREATE = {
    "username": _USERNAME,
    "email": _EMAIL,
    "password": _NEW_PASSWORD,
    **_PROFILE,
    "role": Field(name="role", required=True),
    "tenant": Field(name="tenant_id", data_type="integer", null=True),
    "is_active": _ACTIVE,
}
UPDATE = {"email": _EMAIL, **_PROFILE, "is_active": _ACTIVE}
ACTIVATE = {"is_active": Field(name="active", data_type="boolean", required=True)}
SET_PASSWORD = {"password": _NEW_PASSWORD}
SET_PASSWORD_TWICE = {
    "new_password1": Field(name="password1", data_type="secret", required=True, blank=False),
    "new_password2": _REPEATED_PASSWORD,
}
REGISTER = {
    "username": _USERNAME,
    "email": _EMAIL,
    "password1": Field(name="password1", data_type="secret", required=True, blank=False),
    "password2": _REPEATED_PASSWORD,
    "first_name": Field(name="first_name"),
    "last_name": Field(name="last_name"),
}
PASSWORD_PAIR_NAMES = {
    "password": "new_password2",
    "password1": "new_password1",
    "password2": "new_password2",
    "current": "old_password",
}
"""Names of the directory's fields in the forms with a pair of new passwords."""
CHANGE_PASSWORD = {
    "old_password": Field(name="current", data_type="secret", required=True, blank=False),
    **SET_PASSWORD_TWICE,
}
REQUEST_RESET = {"email": _EMAIL}
VERIFY_EMAIL = {"key": Field(name="key", required=True, blank=False)}
CONFIRM_RESET = {
    "uid": Field(name="uid", required=True, blank=False),
    "token": Field(name="token", required=True, blank=False),
    **SET_PASSWORD_TWICE,
}
TENANT = {
    "name": Field(name="name", required=True, blank=False),
    "slug": Field(name="slug", required=True, blank=False),
    "email": Field(name="email"),
    "url": Field(name="url"),
    "description": Field(name="description"),
    "is_active": _ACTIVE,
}

ORDERING_FIELDS = {
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
TENANT_ORDERING_FIELDS = {
    "id": "id",
    "name": "name",
    "slug": "slug",
    "is_active": "active",
    "created_at": "created_at",
}


def parse_matching_passwords(
    body: Mapping[str, Any], form: Mapping[str, Field]
) -> tuple[dict[str, Any], str, list[Problem]]:
    """Parse a form with a new password and its repetition.

    Returns the other values, the password (empty unless both are valid and equal) and all
    problems.
    """
    values, problems = forms.parse(body, form)
    password, repeated_password = values.pop("password1", ""), values.pop("password2", "")
    if any(problem.field in {"password1", "password2"} for problem in problems):
        return values, "", problems
    if password != repeated_password:
        return values, "", [*problems, Problem("password2", "mismatch")]
    return values, password, problems


def new_user(values: dict[str, Any], role: Role = Role.MEMBER) -> NewUser:
    """Return the new user of a form's values; a missing username is reported by the form."""
    fields: dict[str, Any] = {"username": "", **values, "role": role}
    return NewUser(**fields)


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> datetime | None:
    """Return a time in microseconds as a datetime; None for 0, which means never."""
    if not microseconds:
        return None
    # Seconds and microseconds by position take half as long as ``microseconds=``; lists have many.
    return _UNIX_EPOCH + timedelta(0, *divmod(microseconds, SECOND))


class UserOut(msgspec.Struct, frozen=True):
    """A user, with its fields in the contract's order."""

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
    """Return a user in the contract's format."""
    return UserOut(
        user.id,
        user.username,
        user.email,
        user.first_name,
        user.last_name,
        ROLE_NAMES[user.role],
        user.tenant_id,
        user.tenant_name,
        user.active,
        user.phone,
        user.bio,
        user.url,
        user.company,
        user.location,
        timestamp(user.created_at),
        timestamp(user.last_login_at),
    )


def pick(user: User, *names: str) -> dict[str, Any]:
    """Return some of a user's fields, in the order of ``names``."""
    out = user_out(user)
    return {name: getattr(out, name) for name in names}


def tenant_out(tenant_with_count: TenantWithCount) -> dict[str, Any]:
    """Return a tenant in the contract's format."""
    tenant = tenant_with_count.tenant
    return {
        "id": tenant.id,
        "uuid": tenant.public_id,
        "name": tenant.name,
        "slug": tenant.slug,
        "email": tenant.email,
        "url": tenant.url,
        "description": tenant.description,
        "is_active": tenant.active,
        "user_count": tenant_with_count.user_count,
        "created_at": timestamp(tenant.created_at),
        "updated_at": timestamp(tenant.updated_at),
    }
