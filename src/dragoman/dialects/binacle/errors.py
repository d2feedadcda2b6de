"""Every fact in Binacle's words: a status, and sentences only for what a form got wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler
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
"""What the contract calls the directory's fields; whoever is created here has no other name."""

EMPTY_MESSAGE = "'{name}' must not be empty."
FORMAT_MESSAGE = "'{name}' is not in the correct format."
EMAIL_MESSAGE = "'Email' is not a valid email address."
MESSAGES: dict[str, str] = {
    "required": EMPTY_MESSAGE,
    "null": EMPTY_MESSAGE,
    "blank": EMPTY_MESSAGE,
    "too_long": "The length of '{name}' must be {detail} characters or fewer.",
    "too_short": "The length of '{name}' must be at least {detail} characters. "
    "You entered {entered} characters.",
    "too_many_bytes": "The length of '{name}' must be {detail} bytes or fewer.",
    "common": "'{name}' must not be a common one.",
    "numeric": "'{name}' must not consist of digits alone.",
    "similar": "'{name}' must not resemble '{detail}'.",
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
    """Give what the contract says to a problem; ``entered`` is the password's length."""
    if problem.field in CHOICE_MESSAGES:
        yield CHOICE_MESSAGES[problem.field]
        return
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
    template = MESSAGES.get(problem.code, FORMAT_MESSAGE)
    yield template.format(name=name, detail=detail, entered=password_length)


def validation_error_response(messages: list[str]) -> Response:
    """Return the one refusal that has a body."""
    return MsgspecResponse(400, {"message": "Validation Error", "errors": messages})


def _invalid(call: Call, error: errors.Invalid) -> Response:
    """Say everything that is wrong; only where nothing else is, that the address is taken."""
    other_problems = [problem for problem in error.problems if problem.code != "taken"]
    if not other_problems:
        return Response(None, 409)
    password_length = getattr(call.request.state, "entered", 0)
    reported_problems = [
        p for p in other_problems if p.field != "username"
    ] or other_problems  # it is the address once more
    return validation_error_response(
        list(dict.fromkeys(s for p in reported_problems for s in messages_for(p, password_length)))
    )


def _unauthenticated(_: Call, error: errors.Unauthenticated) -> Response:
    presented = error.reason != "missing" and error.detail != "alone"
    challenge = 'Bearer error="invalid_token"' if presented else "Bearer"
    return Response(None, 401, {"WWW-Authenticate": challenge})


def _method_not_allowed(_: Call, error: MethodNotAllowed) -> Response:
    return Response(None, 405, {"Allow": ", ".join(error.allowed)})


def _fixed_response(status: int, headers: dict[str, str] | None = None) -> ErrorRenderer:
    return lambda call, error: Response(None, status, headers)


def _with_retry_after(status: int) -> Callable[[Call, Any], Response]:
    return lambda call, error: Response(None, status, {"Retry-After": str(error.retry_after)})


ERROR_RENDERERS: dict[type[Exception], ErrorRenderer] = {
    errors.NotFound: _fixed_response(404),
    errors.Taken: _fixed_response(409),
    errors.Invalid: _invalid,
    errors.Forbidden: _fixed_response(403),
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: _fixed_response(401, {"WWW-Authenticate": "Bearer"}),
    errors.RateLimited: _with_retry_after(429),
    errors.LastOwner: _fixed_response(409),
    errors.Unchanged: _fixed_response(409),
    errors.InUse: _fixed_response(409),
    errors.Inactive: _fixed_response(409),
    errors.NoTenant: _fixed_response(409),
    errors.Unavailable: _with_retry_after(503),
    body_errors.TooLarge: _fixed_response(413),
    body_errors.UnsupportedMedia: _fixed_response(415),
    MethodNotAllowed: _method_not_allowed,
    errors.DirectoryError: _fixed_response(400),
    Exception: _fixed_response(500),
}
handle_error = error_handler(ERROR_RENDERERS)
