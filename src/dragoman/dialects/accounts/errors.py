"""Every fact in the words of the accounts contract (Django REST framework's, see its notes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler
from dragoman.web.pagination import NoSuchPage
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {"current": "current_password"}
"""What the contract calls the directory's fields, where it differs."""

FIELD_LABELS = {
    "email": "email address",
    "first_name": "first name",
    "last_name": "last name",
    "username": "username",
}
_INCORRECT_PK_TYPE = "Incorrect type. Expected pk value, received {}."

MESSAGES: dict[str, str | Callable[[Any], str]] = {
    "required": "This field is required.",
    "blank": "This field may not be blank.",
    "null": "This field may not be null.",
    "not_string": "Not a valid string.",
    "not_boolean": "Must be a valid boolean.",
    "not_integer": _INCORRECT_PK_TYPE.format,
    "not_list": 'Expected a list of items but got type "{}".'.format,
    "too_long": lambda limit: f"Ensure this field has no more than {limit} characters.",
    "too_many_bytes": lambda limit: f"Ensure this field has no more than {limit} bytes.",
    "email": "Enter a valid email address.",
    "url": "Enter a valid URL.",
    "slug": "Only letters, digits, hyphens and underscores may be used.",
    "username": "Only letters, digits and @ . + - _ may be used.",
    "unsafe": "Invisible, control or mixed characters may not be used.",
    "choice": lambda given: f'"{given}" is not a valid choice.',
    "unknown": lambda pk: f'Invalid pk "{pk}" - object does not exist.',
    "tenant_required": "This field is required for this role.",
    "foreign_tenant": "This value is not one of yours.",
    "too_short": lambda n: f"This password is too short. It must contain at least {n} characters.",
    "common": "This password is too common.",
    "numeric": "This password is entirely numeric.",
    "similar": lambda field: (
        f"The password is too similar to the {FIELD_LABELS.get(field, field)}."
    ),
    "mismatch": "The two password fields didn't match.",
    "wrong": "Wrong password.",
    "fixed": "This value cannot be changed.",
    "invalid": "Invalid value",
}
TAKEN_MESSAGES = {
    "username": "A user with that username already exists.",
    "email": "user with this email already exists.",
}
NON_FIELD_ERRORS_KEY = "non_field_errors"


def message_for(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    if problem.code == "taken":
        return TAKEN_MESSAGES.get(problem.field, "This value is taken.")
    template = MESSAGES[problem.code]
    return template if isinstance(template, str) else template(problem.detail)


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return MsgspecResponse(status, body, headers)


def _detail_response(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return json_response(status, {"detail": text}, headers)


def _invalid(_: Call, error: errors.Invalid) -> Response:
    messages_by_field: dict[str, dict[str, None]] = {}
    for problem in error.problems:
        messages = messages_by_field.setdefault(FIELD_NAMES.get(problem.field, problem.field), {})
        # Of a list of ids only the first bad one is told, as the framework does it; a body of
        # nothing but unknown ones would be answered by megabytes.
        if not (messages and problem.code == "unknown"):
            messages[message_for(problem)] = None
    return json_response(
        400, {field: list(messages) for field, messages in messages_by_field.items()}
    )


_MALFORMED_HEADER_MESSAGES = {
    "alone": "Invalid token header. No credentials provided.",
    "spaces": "Invalid token header. Token string should not contain spaces.",
    "characters": "Invalid token header. Token string should not contain invalid characters.",
}
_UNAUTHENTICATED_MESSAGES = {
    "missing": "Authentication credentials were not provided.",
    "inactive": "User inactive or deleted.",
}


def _unauthenticated(_: Call, error: errors.Unauthenticated) -> Response:
    message = _MALFORMED_HEADER_MESSAGES.get(error.detail) or _UNAUTHENTICATED_MESSAGES.get(
        error.reason
    )
    return _detail_response(401, message or "Invalid token.", {"WWW-Authenticate": "Token"})


def _forbidden(_: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.SIGN_UP_DISABLED:
        return _detail_response(403, "Self-registration is disabled.")
    return _detail_response(403, "You do not have permission to perform this action.")


def _method_not_allowed(_: Call, error: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(error.allowed)}
    return _detail_response(405, f'Method "{error.method}" not allowed.', allow)


def _bad_request(call: Call, error: body_errors.BadRequest) -> Response:
    labels = {bodies.FORM_TYPE: "Form", bodies.MULTIPART_TYPE: "Multipart form"}
    label = labels.get(bodies.media_type(call.request), "JSON")
    return _detail_response(400, f"{label} parse error - {error.message}")


def _with_retry_after(status: int, text: str) -> ErrorRenderer:
    def render(_: Call, error: Any) -> Response:
        seconds = error.retry_after
        return _detail_response(status, text.format(seconds), {"Retry-After": str(seconds)})

    return render


def _fixed_response(status: int, text: str) -> ErrorRenderer:
    return lambda call, error: _detail_response(status, text)


def _non_field_error(text: str) -> ErrorRenderer:
    """Say what concerns no single field."""
    return lambda call, error: json_response(400, {NON_FIELD_ERRORS_KEY: [text.format(error)]})


def _field_error(code: str) -> ErrorRenderer:
    """Say what is wrong with the field that the fact names."""
    return lambda call, error: _invalid(call, errors.Invalid(Problem(error.field, code)))


ERROR_RENDERERS: dict[type[Exception], ErrorRenderer] = {
    errors.NotFound: _fixed_response(404, "Not found."),
    NoSuchPage: _fixed_response(404, "Invalid page."),
    errors.Taken: _field_error("taken"),
    errors.Unchanged: _field_error("fixed"),
    errors.InvalidLink: _field_error("invalid"),
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: _non_field_error("Unable to log in with provided credentials."),
    errors.RateLimited: _with_retry_after(
        429, "Request was throttled. Expected available in {} seconds."
    ),
    errors.LastOwner: _non_field_error("At least one active owner must remain."),
    errors.LastSuperadmin: _non_field_error("At least one active SuperAdmin must remain."),
    errors.Unavailable: _with_retry_after(503, "Service temporarily unavailable, try again later."),
    body_errors.BadRequest: _bad_request,
    body_errors.TooLarge: _fixed_response(413, "The request body is too large."),
    body_errors.UnsupportedMedia: lambda call, error: _detail_response(
        415, f'Unsupported media type "{error.media_type}" in request.'
    ),
    body_errors.NotAnObject: _non_field_error("Invalid data. Expected a dictionary, but got {}."),
    MethodNotAllowed: _method_not_allowed,
    errors.DirectoryError: _fixed_response(400, "The request cannot be served."),
    Exception: _fixed_response(500, "A server error occurred."),
}
handle_error = error_handler(ERROR_RENDERERS)
