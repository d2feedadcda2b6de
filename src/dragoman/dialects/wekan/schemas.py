"""Wekan's request bodies and response objects."""

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
"""The media types that this contract accepts."""

IS_ADMIN_BY_ROLE: dict[Role, bool] = {
    Role.SUPERADMIN: True,
    Role.ADMIN: True,
    Role.OWNER: True,
    Role.MEMBER: False,
    Role.VIEWER: False,
}
"""``isAdmin`` for each role. No request of this contract sets a role."""

ROLE_NAMES = {role: f"isAdmin: {str(admin).lower()}" for role, admin in IS_ADMIN_BY_ROLE.items()}
"""What the contract says of each role: nothing but whether it is an administrator."""

ACTIVE_BY_ACTION = {"disableLogin": False, "enableLogin": True}
"""The state that each action of a PUT leads to."""

REDACTED = "[redacted]"


def parse_text(body: dict[str, Any], key: str) -> tuple[str, list[Problem]]:
    """Return a text of a body and its problems; the text is empty if absent or not a string."""
    value = body.get(key)
    if value is None:
        return "", []
    return (value, []) if isinstance(value, str) else ("", [Problem(key, "not_string")])


def parse_password(body: dict[str, Any]) -> tuple[str, list[Problem]]:
    """Return the password of a body and its problems; it is required."""
    if body.get("password") is None:
        return "", [Problem("password", "required")]
    return parse_text(body, "password")


def parse_login_name(body: dict[str, Any]) -> tuple[str, list[Problem]]:
    """Return the e-mail address or username to sign in with, and its problems."""
    email, problems = parse_text(body, "email")
    if login_name := trim(email):
        return login_name, problems
    username, username_problems = parse_text(body, "username")
    if login_name := trim(username):
        return login_name, problems
    return "", [*problems, *username_problems, Problem("username", "blank")]


def parse_new_user(body: dict[str, Any]) -> tuple[NewUser, list[Problem]]:
    """Return the new user of a body and its problems.

    Without a username, the e-mail address becomes the username.
    """
    username, username_problems = parse_text(body, "username")
    email, email_problems = parse_text(body, "email")
    username, email = trim(username), trim(email)
    problems = username_problems + email_problems
    if not (username or email or problems):
        problems.append(Problem("username", "required"))
    return NewUser(username=username or email, email=email), problems


def form_field_names(new: NewUser) -> dict[str, str]:
    """Return the form's names of the directory's fields: a username may be the e-mail address."""
    return {"username": "email"} if new.username == new.email else {}


_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(microseconds: int) -> str:
    """Format a time in microseconds as ``2017-12-15T00:47:26.303Z``."""
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
    """Return a user's ``services`` in the documented shape, without any secret.

    ``session_start_times`` (microseconds) are those of the user's sessions at this contract.
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
