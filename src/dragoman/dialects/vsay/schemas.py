"""VSAY Terminal's words: roles, ids, forms, and the objects of its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET

from dragoman.actions.steps.open_invitations import Offer
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import Problem
from dragoman.rules.model import SECOND, Access, Invitation, Role, Tenant, User, UserChanges
from dragoman.rules.passwords import Floor
from dragoman.web import forms
from dragoman.web.forms import Field

FLOOR = Floor(minimum=8)

WORDS: dict[Role, str] = {
    Role.SUPERADMIN: "admin",
    Role.ADMIN: "admin",
    Role.OWNER: "admin",
    Role.MEMBER: "member",
    Role.VIEWER: "viewer",
}
ROLES: dict[str, Role] = {"admin": Role.OWNER, "member": Role.MEMBER, "viewer": Role.VIEWER}
READ_AS: dict[str, frozenset[Role]] = {
    word: frozenset(role for role, read in WORDS.items() if read == word) for word in ROLES
}
PERMISSIONS: dict[str, dict[str, list[str]]] = {
    "admin": {
        "machines": ["read", "write", "delete"],
        "users": ["read", "write"],
        "sessions": ["read", "write"],
    },
    "member": {"machines": ["read", "write"], "sessions": ["read", "write"]},
    "viewer": {"machines": ["read"], "sessions": ["read"]},
}
"""What the product lets each of its roles do; nothing here is decided by it."""

LEVELS = ("full", "read_only", "connect_only")
GREATEST = "full"
MACHINE = re.compile(r"mch_[A-Za-z0-9]{1,64}")
MACHINES = 1000
"""As many machines as one request may name."""
TOLD = 20
"""As many entries of a list as are told to be wrong."""

USER, INVITATION = "usr_", "inv_"

# --------------------------------------------------------------------------- what comes in

_EMAIL = Field(to="email", required=True, blank=False)
_PASSWORD = Field(to="password", kind="secret", required=True, blank=False)
_ROLE = Field(to="role")

LOGIN = {"email": _EMAIL, "password": _PASSWORD}
REFRESH = {"refresh_token": Field(to="refresh_token", kind="secret", required=True, blank=False)}
UPDATE = {"name": Field(to="name"), "role": _ROLE}
INVITE = {
    "email": _EMAIL,
    "name": Field(to="name", null=True),
    "role": Field(to="role", required=True, blank=False),
}
ACCEPT = {"password": _PASSWORD, "name": Field(to="name", null=True)}


def read(
    body: Mapping[str, Any], form: Mapping[str, Field]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a form's values and what is wrong with them; here a number is no text."""
    numbers = {key: [] for key in form if isinstance(body.get(key), int | float)}
    return forms.read({**body, **numbers}, form)


def role_of(values: dict[str, Any], problems: list[Problem]) -> Role | None:
    """Take the role out of a form's values; None, with a problem, for a word that is none."""
    word = values.pop("role", None)
    if word is not None and word not in ROLES:
        problems.append(Problem("role", "choice", tuple(ROLES)))
    return ROLES.get(word or "")


def public_id(text: str, prefix: str) -> str:
    """Return the directory's id in one of this contract's; empty where there is none."""
    return text.removeprefix(prefix) if text.startswith(prefix) else ""


def machine_ids(body: Mapping[str, Any], problems: list[Problem]) -> list[str]:
    """Return the machines that an invitation names; what is wrong is added to ``problems``."""
    given = _listed(body.get("machine_ids", []), "machine_ids", problems)
    wrong = [n for n, each in enumerate(given) if not _is_machine(each)]
    problems += (Problem(f"machine_ids[{n}]", "invalid") for n in wrong[:TOLD])
    return [each for each in given if _is_machine(each)]


def machine_access(body: Mapping[str, Any], problems: list[Problem]) -> list[Access]:
    """Return the access that a request gives; what is wrong is added to ``problems``."""
    if "machine_access" not in body:
        problems.append(Problem("machine_access", "required"))
        return []
    found: dict[str, Access] = {}
    wrong: list[Problem] = []
    for n, entry in enumerate(_listed(body["machine_access"], "machine_access", problems)):
        at = f"machine_access[{n}]"
        told: dict[str, Any] = entry if isinstance(entry, dict) else {}
        machine, level = told.get("machine_id"), told.get("access_level")
        if not _is_machine(machine):
            wrong.append(Problem(f"{at}.machine_id", "required" if machine is None else "invalid"))
        elif machine in found:
            wrong.append(Problem(f"{at}.machine_id", "taken"))
        if level not in LEVELS:
            wrong.append(Problem(f"{at}.access_level", "choice", LEVELS))
        found[str(machine)] = Access(str(machine), str(level))
    problems += wrong[:TOLD]
    return [] if wrong else list(found.values())


def _listed(value: Any, field: str, problems: list[Problem]) -> list[Any]:
    if not isinstance(value, list):
        problems.append(Problem(field, "null" if value is None else "not_list"))
        return []
    if len(value) > MACHINES:
        problems.append(Problem(field, "invalid", f"more than {MACHINES} entries"))
        return []
    return value


def _is_machine(value: Any) -> bool:
    return isinstance(value, str) and MACHINE.fullmatch(value) is not None


def changes(user: User, values: Mapping[str, Any], problems: list[Problem]) -> UserChanges:
    """Return what a new display name changes; the name that a user has already changes nothing.

    First and last name of the other contracts are its parts before and after the first space.
    """
    name = values.get("name", UNSET)
    if name is UNSET or name == user.display_name:
        return UserChanges()
    if not name:
        problems.append(Problem("name", "blank"))
        return UserChanges()
    first, _, last = name.partition(" ")
    return UserChanges(display_name=name, first_name=first, last_name=last)


# --------------------------------------------------------------------------- what goes out

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime | None:
    """Return a time in whole seconds, written ``2024-01-01T12:00:00Z``; None for "never"."""
    return _EPOCH + timedelta(seconds=microseconds // SECOND) if microseconds else None


def brief(user: User) -> dict[str, Any]:
    """Return the four fields by which a session tells whose it is."""
    return {
        "id": USER + user.public_id,
        "email": user.email or None,
        "name": user.display_name,
        "role": WORDS[user.role],
    }


def listed(user: User, *, whole: bool) -> dict[str, Any]:
    """Return a user as lists show it; ``whole`` with the last sign-in."""
    status = "active" if user.active else "suspended"
    last = {"last_login": moment(user.last_login_at)} if whole else {}
    return {**brief(user), "status": status, **last, "created_at": moment(user.created_at)}


def detailed(user: User, access: list[Access] | None) -> dict[str, Any]:
    """Return a user by itself; without ``access``, what is not everybody's business is left out."""
    shown = listed(user, whole=access is not None)
    if access is None:
        return shown
    since = {key: shown.pop(key) for key in ("last_login", "created_at")}
    machines = [{"machine_id": each.resource, "access_level": each.level} for each in access]
    allowed = PERMISSIONS[WORDS[user.role]]
    return {**shown, "permissions": allowed, "machine_access": machines, **since}


def updated(user: User) -> dict[str, Any]:
    """Return what an update tells."""
    return {
        "id": USER + user.public_id,
        "name": user.display_name,
        "role": WORDS[user.role],
        "updated_at": moment(user.updated_at),
    }


def myself(user: User, tenant: Tenant) -> dict[str, Any]:
    """Return the own account."""
    created = {"created_at": moment(user.created_at)}
    return {**brief(user), "organization": organization(tenant), **created}


def organization(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as the contract names it."""
    return {"id": tenant.public_id, "name": tenant.name}


def session(credential: Credential) -> dict[str, Any]:
    """Return a credential's three parts."""
    return {
        "token": credential.secret,
        "refresh_token": credential.refresh,
        "expires_at": moment(credential.expires_at),
    }


def offer(found: Offer) -> dict[str, Any]:
    """Return an invitation as its senders see it."""
    made = found.invitation
    return {
        "invitation_id": INVITATION + made.public_id,
        "email": made.email,
        "name": made.name,
        "role": WORDS[made.role],
        "machine_ids": list(made.resources),
        "status": found.status,
        "expires_at": moment(made.expires_at),
        "created_at": moment(made.created_at),
    }


def sent(made: Invitation) -> dict[str, Any]:
    """Return what sending an invitation tells."""
    return {
        "invitation_id": INVITATION + made.public_id,
        "email": made.email,
        "expires_at": moment(made.expires_at),
    }
