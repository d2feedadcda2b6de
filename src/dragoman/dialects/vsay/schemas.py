"""VSAY Terminal's words: roles, ids, forms, and the objects of its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET

from dragoman.actions.steps.open_invitations import InvitationWithStatus
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import Problem
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
    word: frozenset(role for role, read in ROLE_NAMES.items() if read == word)
    for word in ROLES_BY_NAME
}
ROLE_PERMISSIONS: dict[str, dict[str, list[str]]] = {
    "admin": {
        "machines": ["read", "write", "delete"],
        "users": ["read", "write"],
        "sessions": ["read", "write"],
    },
    "member": {"machines": ["read", "write"], "sessions": ["read", "write"]},
    "viewer": {"machines": ["read"], "sessions": ["read"]},
}
"""What the product lets each of its roles do; nothing here is decided by it."""

ACCESS_LEVELS = ("full", "read_only", "connect_only")
FULL_LEVEL = "full"
MACHINE_ID_PATTERN = re.compile(r"mch_[A-Za-z0-9]{1,64}")
MAX_MACHINES = 1000
"""As many machines as one request may name."""
MAX_REPORTED_ENTRIES = 20
"""As many entries of a list as are told to be wrong."""

USER_ID_PREFIX, INVITATION_ID_PREFIX = "usr_", "inv_"

# --------------------------------------------------------------------------- what comes in

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
    """Return a form's values and what is wrong with them; here a number is no text."""
    numbers = {key: [] for key in form if isinstance(body.get(key), int | float)}
    return forms.parse({**body, **numbers}, form)


def pop_role(values: dict[str, Any], problems: list[Problem]) -> Role | None:
    """Take the role out of a form's values; None, with a problem, for a word that is none."""
    role_name = values.pop("role", None)
    if role_name is not None and role_name not in ROLES_BY_NAME:
        problems.append(Problem("role", "choice", tuple(ROLES_BY_NAME)))
    return ROLES_BY_NAME.get(role_name or "")


def public_id(text: str, prefix: str) -> str:
    """Return the directory's id in one of this contract's; empty where there is none."""
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def parse_machine_ids(body: Mapping[str, Any], problems: list[Problem]) -> list[str]:
    """Return the machines that an invitation names; what is wrong is added to ``problems``."""
    entries = _parse_list(body.get("machine_ids", []), "machine_ids", problems)
    invalid_indexes = [n for n, each in enumerate(entries) if not _is_machine_id(each)]
    problems += (
        Problem(f"machine_ids[{n}]", "invalid") for n in invalid_indexes[:MAX_REPORTED_ENTRIES]
    )
    return [each for each in entries if _is_machine_id(each)]


def parse_machine_access(body: Mapping[str, Any], problems: list[Problem]) -> list[Access]:
    """Return the access that a request gives; what is wrong is added to ``problems``."""
    if "machine_access" not in body:
        problems.append(Problem("machine_access", "required"))
        return []
    access_by_machine: dict[str, Access] = {}
    entry_problems: list[Problem] = []
    for index, entry in enumerate(_parse_list(body["machine_access"], "machine_access", problems)):
        entry_path = f"machine_access[{index}]"
        values: dict[str, Any] = entry if isinstance(entry, dict) else {}
        machine, level = values.get("machine_id"), values.get("access_level")
        if not _is_machine_id(machine):
            entry_problems.append(
                Problem(f"{entry_path}.machine_id", "required" if machine is None else "invalid")
            )
        elif machine in access_by_machine:
            entry_problems.append(Problem(f"{entry_path}.machine_id", "taken"))
        if level not in ACCESS_LEVELS:
            entry_problems.append(Problem(f"{entry_path}.access_level", "choice", ACCESS_LEVELS))
        access_by_machine[str(machine)] = Access(str(machine), str(level))
    problems += entry_problems[:MAX_REPORTED_ENTRIES]
    return [] if entry_problems else list(access_by_machine.values())


def _parse_list(value: Any, field: str, problems: list[Problem]) -> list[Any]:
    if not isinstance(value, list):
        problems.append(Problem(field, "null" if value is None else "not_list"))
        return []
    if len(value) > MAX_MACHINES:
        problems.append(Problem(field, "invalid", f"more than {MAX_MACHINES} entries"))
        return []
    return value


def _is_machine_id(value: Any) -> bool:
    return isinstance(value, str) and MACHINE_ID_PATTERN.fullmatch(value) is not None


def display_name_changes(
    user: User, values: Mapping[str, Any], problems: list[Problem]
) -> UserChanges:
    """Return what a new display name changes; the name that a user has already changes nothing.

    First and last name of the other contracts are its parts before and after the first space.
    """
    name = values.get("name", UNSET)
    if name is UNSET or name == user.display_name:
        return UserChanges()
    if not name:
        problems.append(Problem("name", "blank"))
        return UserChanges()
    first_name, _, last_name = name.partition(" ")
    return UserChanges(display_name=name, first_name=first_name, last_name=last_name)


# --------------------------------------------------------------------------- what goes out

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> datetime | None:
    """Return a time in whole seconds, written ``2024-01-01T12:00:00Z``; None for "never"."""
    return _UNIX_EPOCH + timedelta(seconds=microseconds // SECOND) if microseconds else None


def user_summary_out(user: User) -> dict[str, Any]:
    """Return the four fields by which a session tells whose it is."""
    return {
        "id": USER_ID_PREFIX + user.public_id,
        "email": user.email or None,
        "name": user.display_name,
        "role": ROLE_NAMES[user.role],
    }


def user_list_item_out(user: User, *, with_last_login: bool) -> dict[str, Any]:
    """Return a user as lists show it; ``whole`` with the last sign-in."""
    status = "active" if user.active else "suspended"
    last_login = {"last_login": timestamp(user.last_login_at)} if with_last_login else {}
    return {
        **user_summary_out(user),
        "status": status,
        **last_login,
        "created_at": timestamp(user.created_at),
    }


def user_detail_out(user: User, access: list[Access] | None) -> dict[str, Any]:
    """Return a user by itself; without ``access``, what is not everybody's business is left out."""
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
    """Return what an update tells."""
    return {
        "id": USER_ID_PREFIX + user.public_id,
        "name": user.display_name,
        "role": ROLE_NAMES[user.role],
        "updated_at": timestamp(user.updated_at),
    }


def account_out(user: User, tenant: Tenant) -> dict[str, Any]:
    """Return the own account."""
    timestamps = {"created_at": timestamp(user.created_at)}
    return {**user_summary_out(user), "organization": organization_out(tenant), **timestamps}


def organization_out(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as the contract names it."""
    return {"id": tenant.public_id, "name": tenant.name}


def session_out(credential: Credential) -> dict[str, Any]:
    """Return a credential's three parts."""
    return {
        "token": credential.secret,
        "refresh_token": credential.refresh_token,
        "expires_at": timestamp(credential.expires_at),
    }


def invitation_out(invitation_with_status: InvitationWithStatus) -> dict[str, Any]:
    """Return an invitation as its senders see it."""
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
    """Return what sending an invitation tells."""
    return {
        "invitation_id": INVITATION_ID_PREFIX + invitation.public_id,
        "email": invitation.email,
        "expires_at": timestamp(invitation.expires_at),
    }
