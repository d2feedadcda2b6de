"""Binacle's words: types and states of users, and what comes in."""

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
ROLES_SHOWN_AS: dict[Role, frozenset[Role]] = {
    role: frozenset(each for each, read in ROLE_NAMES.items() if read == word)
    for word, role in ROLES_BY_NAME.items()
}
"""By the role that a word writes, those that read as the same word."""
GROUP_CLAIMS = {"Admin": "Admins", "User": "Users"}
"""What a token calls the types."""

_ROLES_BY_LOWER_NAME = {word.lower(): role for word, role in ROLES_BY_NAME.items()}
_ACTIVE_BY_STATUS = {"active": True, "inactive": False}


def jwt_claims(user: User) -> dict[str, Any]:
    """Return what a token says of its user besides the registered claims."""
    return {"email": user.email, "groups": GROUP_CLAIMS[ROLE_NAMES[user.role]]}


# --------------------------------------------------------------------------- bodies

# Texts are matched first and kept, so that no comment begins within one; an unfinished one is
# taken whole, so that each byte is looked at once.
_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*+"?)|//[^\r\n]*', re.DOTALL)


async def parse_fields(request: Request) -> dict[str, Any]:
    """Return the properties of a JSON object by their names in lower case.

    Comments to the end of a line, as the document's example of an update has them, are passed
    over. Raises BadRequest (also for a name that stands twice in any case), NotAnObject,
    UnsupportedMedia or TooLarge.
    """
    body = await bodies.read_body(request)
    if not body:
        raise BadRequest("no body")
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
        raise BadRequest("a key stands twice")
    return fields


def _parse_text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} is no text")
    return value


def parse_email(fields: Mapping[str, Any], problems: list[Problem]) -> str:
    """Return the e-mail address of a form; empty, with a problem that says why, without one."""
    email = _parse_text(fields, "email")
    if email is None:
        problems.append(Problem("email", "required"))
    elif not trim(email):
        problems.append(Problem("email", "blank"))
    return trim(email or "")


def parse_password(
    call: Call,
    fields: Mapping[str, Any],
    problems: list[Problem],
    rules: PasswordRules,
    *names: str,
) -> str:
    """Return the password under the first of some names, which are in lower case.

    It is empty, with a problem that says why, without one and for white space alone. Its length
    is noted at the request, for the sentence that counts it.
    """
    texts = [_parse_text(fields, name) for name in names]
    password = next((text for text in texts if text is not None), None)
    call.request.state.entered = len(password or "")
    if password is None:
        problems.append(Problem("password", "required"))
    elif not trim(password):
        problems.append(Problem("password", "blank"))
        if len(password) < rules.min_length:
            problems.append(Problem("password", "too_short", rules.min_length))
    else:
        return password
    return ""


def parse_role_and_status(
    fields: Mapping[str, Any], problems: list[Problem]
) -> tuple[Role | None, bool | None]:
    """Return the type and the state that an update asks for; unknown words are no words.

    Without either, there is a problem for each.
    """
    role, active = (
        _parse_choice(fields, "type", _ROLES_BY_LOWER_NAME),
        _parse_choice(fields, "status", _ACTIVE_BY_STATUS),
    )
    if role is None and active is None:
        problems += [Problem("role", "required"), Problem("active", "required")]
    return role, active


def _parse_choice(fields: Mapping[str, Any], name: str, choices: Mapping[str, Any]) -> Any:
    value = fields.get(name)
    return choices.get(value.lower()) if isinstance(value, str) else None
