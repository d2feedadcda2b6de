"""Every fact in the words of the accounts contract (Django REST framework's, see its notes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import MethodNotAllowed, Speak, voices
from dragoman.web.pagination import NoSuchPage
from dragoman.web.responses import JSON

WIRE = {"current": "current_password"}
"""What the contract calls the directory's fields, where it differs."""

SIMILAR = {
    "email": "email address",
    "first_name": "first name",
    "last_name": "last name",
    "username": "username",
}
_PK = "Incorrect type. Expected pk value, received {}."

SENTENCES: dict[str, str | Callable[[Any], str]] = {
    "required": "This field is required.",
    "blank": "This field may not be blank.",
    "null": "This field may not be null.",
    "not_string": "Not a valid string.",
    "not_boolean": "Must be a valid boolean.",
    "not_integer": _PK.format,
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
    "similar": lambda field: f"The password is too similar to the {SIMILAR.get(field, field)}.",
    "mismatch": "The two password fields didn't match.",
    "wrong": "Wrong password.",
    "fixed": "This value cannot be changed.",
    "invalid": "Invalid value",
}
TAKEN = {
    "username": "A user with that username already exists.",
    "email": "user with this email already exists.",
}
NON_FIELD = "non_field_errors"


def sentence(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    if problem.code == "taken":
        return TAKEN.get(problem.field, "This value is taken.")
    said = SENTENCES[problem.code]
    return said if isinstance(said, str) else said(problem.detail)


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return JSON(status, body, headers)


def _detail(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return answer(status, {"detail": text}, headers)


def _invalid(_: Call, fault: errors.Invalid) -> Response:
    told: dict[str, dict[str, None]] = {}
    for problem in fault.problems:
        sentences = told.setdefault(WIRE.get(problem.field, problem.field), {})
        # Of a list of ids only the first bad one is told, as the framework does it; a body of
        # nothing but unknown ones would be answered by megabytes.
        if not (sentences and problem.code == "unknown"):
            sentences[sentence(problem)] = None
    return answer(400, {field: list(sentences) for field, sentences in told.items()})


_MALFORMED = {
    "alone": "Invalid token header. No credentials provided.",
    "spaces": "Invalid token header. Token string should not contain spaces.",
    "characters": "Invalid token header. Token string should not contain invalid characters.",
}
_UNAUTHENTICATED = {
    "missing": "Authentication credentials were not provided.",
    "inactive": "User inactive or deleted.",
}


def _unauthenticated(_: Call, fault: errors.Unauthenticated) -> Response:
    known = _MALFORMED.get(fault.detail) or _UNAUTHENTICATED.get(fault.why)
    return _detail(401, known or "Invalid token.", {"WWW-Authenticate": "Token"})


def _forbidden(_: Call, fault: errors.Forbidden) -> Response:
    if fault.reason is Reason.CLOSED:
        return _detail(403, "Self-registration is disabled.")
    return _detail(403, "You do not have permission to perform this action.")


def _method(_: Call, fault: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(fault.allowed)}
    return _detail(405, f'Method "{fault.method}" not allowed.', allow)


def _unreadable(call: Call, fault: body_errors.BadRequest) -> Response:
    kinds = {bodies.FORM: "Form", bodies.MULTIPART: "Multipart form"}
    kind = kinds.get(bodies.media_type(call.request), "JSON")
    return _detail(400, f"{kind} parse error - {fault.what}")


def _later(status: int, text: str) -> Speak:
    def speak(_: Call, fault: Any) -> Response:
        seconds = fault.retry_after
        return _detail(status, text.format(seconds), {"Retry-After": str(seconds)})

    return speak


def _plain(status: int, text: str) -> Speak:
    return lambda call, fault: _detail(status, text)


def _whole(text: str) -> Speak:
    """Say what concerns no single field."""
    return lambda call, fault: answer(400, {NON_FIELD: [text.format(fault)]})


def _field(code: str) -> Speak:
    """Say what is wrong with the field that the fact names."""
    return lambda call, fault: _invalid(call, errors.Invalid(Problem(fault.field, code)))


TABLE: dict[type[Exception], Speak] = {
    errors.NotFound: _plain(404, "Not found."),
    NoSuchPage: _plain(404, "Invalid page."),
    errors.Taken: _field("taken"),
    errors.Same: _field("fixed"),
    errors.Stale: _field("invalid"),
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: _whole("Unable to log in with provided credentials."),
    errors.Limited: _later(429, "Request was throttled. Expected available in {} seconds."),
    errors.LastOwner: _whole("At least one active owner must remain."),
    errors.LastSuperadmin: _whole("At least one active SuperAdmin must remain."),
    errors.Unavailable: _later(503, "Service temporarily unavailable, try again later."),
    body_errors.BadRequest: _unreadable,
    body_errors.TooLarge: _plain(413, "The request body is too large."),
    body_errors.UnsupportedMedia: lambda call, fault: _detail(
        415, f'Unsupported media type "{fault.media_type}" in request.'
    ),
    body_errors.NotAnObject: _whole("Invalid data. Expected a dictionary, but got {}."),
    MethodNotAllowed: _method,
    errors.Failure: _plain(400, "The request cannot be served."),
    Exception: _plain(500, "A server error occurred."),
}
VOICE = voices(TABLE)
