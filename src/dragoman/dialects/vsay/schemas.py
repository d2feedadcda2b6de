"""VSAY Terminal's roles, ids, forms and response objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET

from dragoman.actions.invitations import InvitationWithStatus
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import Problem
from dragoman.rules.fields import trim
from dragoman.rules.model import SECOND, Access, Invitation, Role, Tenant, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.web import forms
from dragoman.web.forms import Field

PASSWORD_RULES = PasswordRules(min_length=8)

ROLE_NAMES: dict[Role, str] = {
    Role.SUPERADMIN: "admin",
    Role.ADMIN: "admin",
    Role.OWNER: "admin",
    Role.MEMBER: "member",
    Role.VIEWER: "viewer",
}
ROLES_BY_NAME: dict[str, Role] = {"admin": Role.OWNER, "member": Role.MEMBER, "viewer": Role.VIEWER}
ROLES_SHOWN_AS: dict[str, frozenset[Role]] = {
    name: frozenset(role for role, role_name in ROLE_NAMES.items() if role_name == name)
    for name in ROLES_BY_NAME
}
"""Name of a role → all roles that are shown by this name."""
STATUS_NAMES = {True: "active", False: "suspended"}
ROLE_PERMISSIONS: dict[str, dict[str, list[str]]] = {
    "admin": {
        "machines": ["read", "write", "delete"],
        "users": ["read", "write"],
        "sessions": ["read", "write"],
    },
    "member": {"machines": ["read", "write"], "sessions": ["read", "write"]},
    "viewer": {"machines": ["read"], "sessions": ["read"]},
}
"""What the product allows each of its roles; shown to clients, not enforced here."""

ACCESS_LEVELS = ("full", "read_only", "connect_only")
FULL_LEVEL = "full"
MACHINE_ID_PATTERN = re.compile(r"mch_[A-Za-z0-9]{1,64}")
MAX_MACHINES = 1000
"""Maximum number of machines in one request."""
MAX_REPORTED_ENTRIES = 20
"""Maximum number of list entries whose problems are reported."""

USER_ID_PREFIX, INVITATION_ID_PREFIX = "usr_", "inv_"

# --------------------------------------------------------------------------- requests

_EMAIL = Field(name="email", required=True, blank=False)
_PASSWORD = Field(name="password", data_type="secret", required=True, blank=False)
_ROLE = Field(name="role")

LOGIN = {"email": _EMAIL, "password": _PASSWORD}
REFRESH = {
    "refresh_token": Field(name="refresh_token", data_type="secret", required=True, blank=False)
}
UPDATE = {"name": Field(name="name"), "role": _ROLE}
INVITE = {
    "email": _EMAIL,
    "name": Field(name="name", null=True),
    "role": Field(name="role", required=True, blank=False),
}
ACCEPT = {"password": _PASSWORD, "name": Field(name="name", null=True)}


def parse_form(
    body: Mapping[str, Any], form: Mapping[str, Field]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a form's values and its problems; a ``role`` among the values is a Role.

    Unlike other contracts, this one rejects numbers where it expects a string.
    """
    numbers = {key: [] for key in form if isinstance(body.get(key), int | float)}
    values, problems = forms.parse({**body, **numbers}, form)
    if (role_name := values.pop("role", None)) is not None:
        if role_name in ROLES_BY_NAME:
            values["role"] = ROLES_BY_NAME[role_name]
        else:
            problems.append(Problem("role", "choice", tuple(ROLES_BY_NAME)))
    return values, problems


def public_id(text: str, prefix: str) -> str:
    """Return the directory's id from one of this contract; empty if the prefix is missing."""
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def parse_machine_ids(body: Mapping[str, Any]) -> tuple[list[str], list[Problem]]:
    """Return the valid machine ids of an invitation, and the problems of the others."""
    value = body.get("machine_ids")
    entries, problems = _parse_list([] if value is None else value, "machine_ids")
    invalid_indexes = [n for n, each in enumerate(entries) if not _is_machine_id(each)]
    problems += (
        Problem(f"machine_ids[{n}]", "invalid") for n in invalid_indexes[:MAX_REPORTED_ENTRIES]
    )
    return [each for each in entries if _is_machine_id(each)], problems


def parse_machine_access(body: Mapping[str, Any]) -> tuple[list[Access], list[Problem]]:
    """Return the access that a request grants, and its problems; no access if there are any."""
    if "machine_access" not in body:
        return [], [Problem("machine_access", "required")]
    entries, problems = _parse_list(body["machine_access"], "machine_access")
    access_by_machine: dict[str, Access] = {}
    for index, entry in enumerate(entries):
        entry_path = f"machine_access[{index}]"
        values: dict[str, Any] = entry if isinstance(entry, dict) else {}
        machine, level = values.get("machine_id"), values.get("access_level")
        if not _is_machine_id(machine):
            code = "required" if machine is None else "invalid"
            problems.append(Problem(f"{entry_path}.machine_id", code))
        elif machine in access_by_machine:
            problems.append(Problem(f"{entry_path}.machine_id", "taken"))
        if level not in ACCESS_LEVELS:
            problems.append(Problem(f"{entry_path}.access_level", "choice", ACCESS_LEVELS))
        access_by_machine[str(machine)] = Access(str(machine), str(level))
    if problems:
        return [], problems[:MAX_REPORTED_ENTRIES]
    return list(access_by_machine.values()), []


def _parse_list(value: Any, field: str) -> tuple[list[Any], list[Problem]]:
    if not isinstance(value, list):
        return [], [Problem(field, "null" if value is None else "not_list")]
    if len(value) > MAX_MACHINES:
        return [], [Problem(field, "invalid", f"more than {MAX_MACHINES} entries")]
    return value, []


def _is_machine_id(value: Any) -> bool:
    return isinstance(value, str) and MACHINE_ID_PATTERN.fullmatch(value) is not None


def display_name_changes(
    user: User, values: Mapping[str, Any]
) -> tuple[UserChanges, list[Problem]]:
    """Return the changes of an update's display name, and its problems.

    The parts before and after the first space become the first and last name that other
    contracts show. The user's current name changes nothing, even if it is empty.
    """
    name = values.get("name", UNSET)
    if name is UNSET or name == user.display_name:
        return UserChanges(), []
    if not name:
        return UserChanges(), [Problem("name", "blank")]
    first_name, _, last_name = name.partition(" ")
    return UserChanges(display_name=name, first_name=first_name, last_name=last_name), []


def fixed_field_problems(user: User, body: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of fields that an update cannot change; their shown values pass."""
    shown = {"email": user.email or None, "status": STATUS_NAMES[user.active]}
    values = {key: body[key] for key in shown if key in body}
    trimmed = {key: trim(v) or None if isinstance(v, str) else v for key, v in values.items()}
    return [Problem(key, "fixed") for key, value in trimmed.items() if value != shown[key]]


# --------------------------------------------------------------------------- responses

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> datetime | None:
    """Return a time in microseconds, rounded down to seconds; None for 0, which means never."""
    return _UNIX_EPOCH + timedelta(seconds=microseconds // SECOND) if microseconds else None


def user_summary_out(user: User) -> dict[str, Any]:
    """Return a user as a session shows it."""
    return {
        "id": USER_ID_PREFIX + user.public_id,
        "email": user.email or None,
        "name": user.display_name,
        "role": ROLE_NAMES[user.role],
    }


def user_list_item_out(user: User, *, with_last_login: bool) -> dict[str, Any]:
    """Return a user as lists show it."""
    last_login = {"last_login": timestamp(user.last_login_at)} if with_last_login else {}
    return {
        **user_summary_out(user),
        "status": STATUS_NAMES[user.active],
        **last_login,
        "created_at": timestamp(user.created_at),
    }


def user_detail_out(user: User, access: list[Access] | None) -> dict[str, Any]:
    """Return a user in detail; ``access`` is None if the caller may not see it."""
    list_item = user_list_item_out(user, with_last_login=access is not None)
    if access is None:
        return list_item
    timestamps = {key: list_item.pop(key) for key in ("last_login", "created_at")}
    machine_access = [{"machine_id": each.resource, "access_level": each.level} for each in access]
    role_permissions = ROLE_PERMISSIONS[ROLE_NAMES[user.role]]
    return {
        **list_item,
        "permissions": role_permissions,
        "machine_access": machine_access,
        **timestamps,
    }


def updated_user_out(user: User) -> dict[str, Any]:
    """Return a user as the response to an update shows it."""
    return {
        "id": USER_ID_PREFIX + user.public_id,
        "name": user.display_name,
        "role": ROLE_NAMES[user.role],
        "updated_at": timestamp(user.updated_at),
    }


def account_out(user: User, tenant: Tenant) -> dict[str, Any]:
    """Return the caller's own account."""
    timestamps = {"created_at": timestamp(user.created_at)}
    return {**user_summary_out(user), "organization": organization_out(tenant), **timestamps}


def organization_out(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant, which this contract calls an organization."""
    return {"id": tenant.public_id, "name": tenant.name}


def session_out(credential: Credential) -> dict[str, Any]:
    """Return the tokens of a session."""
    return {
        "token": credential.secret,
        "refresh_token": credential.refresh_token,
        "expires_at": timestamp(credential.expires_at),
    }


def invitation_out(invitation_with_status: InvitationWithStatus) -> dict[str, Any]:
    """Return an invitation as admins of its organization see it."""
    invitation = invitation_with_status.invitation
    return {
        "invitation_id": INVITATION_ID_PREFIX + invitation.public_id,
        "email": invitation.email,
        "name": invitation.name,
        "role": ROLE_NAMES[invitation.role],
        "machine_ids": list(invitation.resources),
        "status": invitation_with_status.status,
        "expires_at": timestamp(invitation.expires_at),
        "created_at": timestamp(invitation.created_at),
    }


def sent_invitation_out(invitation: Invitation) -> dict[str, Any]:
    """Return an invitation as the response to sending it shows it."""
    return {
        "invitation_id": INVITATION_ID_PREFIX + invitation.public_id,
        "email": invitation.email,
        "expires_at": timestamp(invitation.expires_at),
    }
