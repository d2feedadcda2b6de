"""Wekan's words: who is given in a body, and the objects of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dragoman.rules.errors import Problem
from dragoman.rules.fields import trim
from dragoman.rules.model import NewUser, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.web import bodies

PASSWORD_RULES = PasswordRules(min_length=1)
MEDIA_TYPES = (bodies.JSON_TYPE, bodies.FORM_TYPE)
"""Media types that this contract reads."""

IS_ADMIN_BY_ROLE: dict[Role, bool] = {
    Role.SUPERADMIN: True,
    Role.ADMIN: True,
    Role.OWNER: True,
    Role.MEMBER: False,
    Role.VIEWER: False,
}
"""How each role reads as ``isAdmin``; nothing here writes a role."""

ACTIVE_BY_ACTION = {"disableLogin": False, "enableLogin": True}
"""The actions of a PUT, as the state that they lead to."""

REDACTED = "[redacted]"


def parse_text(body: dict[str, Any], key: str, problems: list[Problem]) -> str:
    """Return a text of the body, empty where there is none; what is no text is a problem."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        problems.append(Problem(key, "not_string"))
        return ""
    return value


def parse_password(body: dict[str, Any], problems: list[Problem]) -> str:
    """Return the password of a body; that it is missing is a problem."""
    password = parse_text(body, "password", problems)
    if body.get("password") is None:
        problems.append(Problem("password", "required"))
    return password


def new_user(body: dict[str, Any], problems: list[Problem]) -> NewUser:
    """Return what a user is made from: who gives no username has its e-mail address as one."""
    username = trim(parse_text(body, "username", problems))
    email = trim(parse_text(body, "email", problems))
    if not (username or email or problems):
        problems.append(Problem("username", "required"))
    return NewUser(username=username or email, email=email)


def form_field_names(new: NewUser) -> dict[str, str]:
    """Return what a form calls the directory's fields: a borrowed username is the e-mail."""
    return {"username": "email"} if new.username == new.email else {}


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> str:
    """Return a time as ``2017-12-15T00:47:26.303Z``."""
    instant = _UNIX_EPOCH + timedelta(microseconds=microseconds)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"


def user_out(user: User, services: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a user's document, with or without its ``services``."""
    document: dict[str, Any] = {
        "_id": user.public_id,
        "createdAt": timestamp(user.created_at),
        "modifiedAt": timestamp(user.updated_at),
        "username": user.username,
        "emails": [{"address": user.email, "verified": user.verified}] if user.email else [],
        "isAdmin": IS_ADMIN_BY_ROLE[user.role],
        "profile": {},
    }
    if services is not None:
        document["services"] = services
    document |= {"authenticationMethod": "password", "sessionData": {}}
    if not user.active:
        document["loginDisabled"] = True
    return document


def services_out(session_start_times: list[int]) -> dict[str, Any]:
    """Return the documented shape of a user's ``services``, which holds no secret.

    ``sessions`` are the times (microseconds) at which those of this contract began.
    """
    tokens = [
        {"when": timestamp(started_at), "hashedToken": REDACTED}
        for started_at in session_start_times
    ]
    return {
        "password": {"bcrypt": REDACTED},
        "email": {"verificationTokens": []},
        "resume": {"loginTokens": tokens},
    }
