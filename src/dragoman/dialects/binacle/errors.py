"""Errors of Binacle: a status without a body, except for validation errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler, error_headers
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {
    "email": "Email",
    "username": "Email",
    "password": "Password",
    "role": "Type",
    "active": "Status",
    "first_name": "First Name",
    "last_name": "Last Name",
}
"""The contract's names of the directory's fields; its users have no username but the address."""

EMPTY_MESSAGE = "'{name}' must not be empty."
FORMAT_MESSAGE = "'{name}' is not in the correct format."
EMAIL_MESSAGE = "'Email' is not a valid email address."
MESSAGE_TEMPLATES: dict[str, str] = {
    "required": EMPTY_MESSAGE,
    "null": EMPTY_MESSAGE,
    "blank": EMPTY_MESSAGE,
    "too_long": "The length of '{name}' must be {detail} characters or fewer.",
    "too_short": "The length of '{name}' must be at least {detail} characters. "
    "You entered {entered} characters.",
    "too_many_bytes": "The length of '{name}' must be {detail} bytes or fewer.",
    "common": "'{name}' is too common.",
    "numeric": "'{name}' must not consist of digits only.",
    "similar": "'{name}' is too similar to '{detail}'.",
}
ONE_OF_MESSAGE = (
    "'{name}' must not be empty when '{other}' is empty"
    " and only accepts the following values: {words}"
)
CHOICE_MESSAGES = {
    "role": ONE_OF_MESSAGE.format(name="Type", other="Status", words="'User', 'Admin'"),
    "active": ONE_OF_MESSAGE.format(name="Status", other="Type", words="'Active', 'Inactive'"),
}


def messages_for(problem: Problem, password_length: int = 0) -> Iterator[str]:
    """Yield the contract's messages for a problem; one quotes the length of the password."""
    if problem.field in CHOICE_MESSAGES:
        yield CHOICE_MESSAGES[problem.field]
        return
    if problem.code == "weak":  # worded like the contract's own rules
        code = "too_short" if isinstance(problem.detail, int) else "similar"
        problem = msgspec.structs.replace(problem, code=code)
    name = FIELD_NAMES.get(problem.field, problem.field)
    if name == "Email" and problem.code not in {"required", "null"}:
        if problem.code == "blank":
            yield EMPTY_MESSAGE.format(name=name)
        yield EMAIL_MESSAGE
        return
    detail = (
        FIELD_NAMES.get(problem.detail, problem.detail)
        if problem.code == "similar"
        else problem.detail
    )
    template = MESSAGE_TEMPLATES.get(problem.code, FORMAT_MESSAGE)
    yield template.format(name=name, detail=detail, entered=password_length)


def _invalid(call: Call, error: errors.Invalid) -> Response:
    """Report all problems; a taken address only (409) if nothing else is wrong."""
    other_problems = [problem for problem in error.problems if problem.code != "taken"]
    if not other_problems:
        return Response(None, 409)
    password_length = call.message_values.get("entered", 0)
    reported_problems = [
        p for p in other_problems if p.field != "username"
    ] or other_problems  # the username is the address
    messages = dict.fromkeys(
        message for p in reported_problems for message in messages_for(p, password_length)
    )
    return MsgspecResponse(400, {"message": "Validation Error", "errors": list(messages)})


def _unauthenticated(_: Call, error: errors.Unauthenticated) -> Response:
    presented = error.reason != "missing" and error.detail != "alone"
    challenge = 'Bearer error="invalid_token"' if presented else "Bearer"
    return Response(None, 401, {"WWW-Authenticate": challenge})


def _renderer(status: int, headers: Mapping[str, str] | None = None) -> ErrorRenderer:
    return lambda call, error: Response(None, status, {**(headers or {}), **error_headers(error)})


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    errors.NotFound: _renderer(404),
    errors.Taken: _renderer(409),
    errors.Invalid: _invalid,
    errors.Forbidden: _renderer(403),
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: _renderer(401, {"WWW-Authenticate": "Bearer"}),
    errors.RateLimited: _renderer(429),
    errors.LastOwner: _renderer(409),
    errors.Unchanged: _renderer(409),
    errors.InUse: _renderer(409),
    errors.Inactive: _renderer(409),
    errors.NoTenant: _renderer(409),
    errors.WeakPassword: _renderer(409),
    errors.Unavailable: _renderer(503),
    body_errors.TooLarge: _renderer(413),
    body_errors.UnsupportedMedia: _renderer(415),
    MethodNotAllowed: _renderer(405),
    errors.DirectoryError: _renderer(400),
    Exception: _renderer(500),
}
handle_error = error_handler(ERROR_RENDERERS)
