"""Binacle's user types and states, and its request bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from dragoman.rules.errors import Problem
from dragoman.rules.fields import trim
from dragoman.rules.model import Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.web import bodies
from dragoman.web.body_errors import BadRequest, NotAnObject, UnsupportedMedia
from dragoman.web.calls import Call

PASSWORD_RULES = PasswordRules(min_length=10)

ROLE_NAMES: dict[Role, str] = {
    Role.SUPERADMIN: "Admin",
    Role.ADMIN: "Admin",
    Role.OWNER: "Admin",
    Role.MEMBER: "User",
    Role.VIEWER: "User",
}
ROLES_BY_NAME: dict[str, Role] = {"Admin": Role.OWNER, "User": Role.MEMBER}
ROLES_SHOWN_AS: dict[str, frozenset[Role]] = {
    name: frozenset(role for role, role_name in ROLE_NAMES.items() if role_name == name)
    for name in ROLES_BY_NAME
}
"""Name of a type → all roles that are shown by this name."""
GROUP_CLAIMS = {"Admin": "Admins", "User": "Users"}
"""Name of a type → its name in the claims of a token."""

_ROLES_BY_LOWER_NAME = {name.lower(): role for name, role in ROLES_BY_NAME.items()}
_ACTIVE_BY_STATUS = {"active": True, "inactive": False}


def jwt_claims(user: User) -> dict[str, Any]:
    """Return a token's claims about its user, in addition to the registered claims."""
    return {
        "email": user.email,
        "email_verified": user.verified,
        "groups": GROUP_CLAIMS[ROLE_NAMES[user.role]],
    }


# --------------------------------------------------------------------------- requests

# Strings are matched first and kept, so that `//` within one does not start a comment. An
# unterminated string is matched to its end, so that matching takes linear time.
_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|//[^\r\n]*', re.DOTALL)


async def parse_fields(request: Request) -> dict[str, Any]:
    """Return the members of a JSON object by their names in lower case.

    Comments (``//``) are ignored: the contract's example of an update contains one. Raises
    BadRequest, also for names that differ only in case, NotAnObject, UnsupportedMedia or TooLarge.
    """
    body = await bodies.read_body(request)
    if not body:
        raise BadRequest("empty body")
    media_type = bodies.media_type(request)
    if media_type != bodies.JSON_TYPE and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMedia(media_type)
    value = bodies.decode_json(_COMMENT.sub(rb"\1", body) if b"//" in body else body)
    if not isinstance(value, dict):
        raise NotAnObject(type(value).__name__)
    raw_fields: dict[str, Any] = value
    fields = {key.lower(): item for key, item in raw_fields.items()}
    if len(fields) != len(raw_fields):
        raise BadRequest("duplicate key")
    return fields


def _parse_text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} is not a string")
    return value


def parse_email(fields: Mapping[str, Any]) -> tuple[str, list[Problem]]:
    """Return the e-mail address of a body and its problems; the address may be empty."""
    text = _parse_text(fields, "email")
    email = trim(text or "")
    if email:
        return email, []
    return "", [Problem("email", "required" if text is None else "blank")]


def parse_password(
    call: Call, fields: Mapping[str, Any], rules: PasswordRules, *names: str
) -> tuple[str, list[Problem]]:
    """Return the password of a body and its problems; with problems, it is empty.

    Its length is set in ``call.message_values``, for the message that quotes it.

    Args:
        call: the request.
        fields: the body's members.
        rules: the password rules that apply; only the length of blank passwords is checked here.
        names: the names of the member, in lower case; the first that is present counts.
    """
    texts = [_parse_text(fields, name) for name in names]
    password = next((text for text in texts if text is not None), None)
    call.message_values = {"entered": len(password or "")}
    if password is None:
        return "", [Problem("password", "required")]
    if trim(password):
        return password, []
    problems = [Problem("password", "blank")]
    if len(password) < rules.min_length:
        problems.append(Problem("password", "too_short", rules.min_length))
    return "", problems


def parse_role_and_status(
    fields: Mapping[str, Any],
) -> tuple[Role | None, bool | None, list[Problem]]:
    """Return the type and the state of an update, and its problems.

    An unknown value counts as absent; at least one of the two is required.
    """
    role = _parse_choice(fields, "type", _ROLES_BY_LOWER_NAME)
    active = _parse_choice(fields, "status", _ACTIVE_BY_STATUS)
    if role is None and active is None:
        return None, None, [Problem("role", "required"), Problem("active", "required")]
    return role, active, []


def _parse_choice(fields: Mapping[str, Any], name: str, choices: Mapping[str, Any]) -> Any:
    value = fields.get(name)
    return choices.get(value.lower()) if isinstance(value, str) else None
