"""Every fact in WiWebb's words (Django REST framework's, see the contract's notes)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.rules.model import Role
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import MethodNotAllowed, Speak, voices
from dragoman.web.pagination import NoSuchPage
from dragoman.web.responses import JSON

WIRE = {"phone": "phone_number", "active": "is_active", "tenant_id": "tenant"}
"""What the contract calls the directory's fields, where it differs."""

SIMILAR = {
    "email": "email address",
    "first_name": "first name",
    "last_name": "last name",
    "username": "username",
}

SENTENCES: dict[str, str | Callable[[Any], str]] = {
    "required": "This field is required.",
    "blank": "This field may not be blank.",
    "null": "This field may not be null.",
    "not_string": "Not a valid string.",
    "not_boolean": "Must be a valid boolean.",
    "not_integer": "A valid integer is required.",
    "not_list": "Expected a list of items.",
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
    "foreign_tenant": "TenantOwner can only manage users in their own tenant.",
    "too_short": lambda n: f"This password is too short. It must contain at least {n} characters.",
    "common": "This password is too common.",
    "numeric": "This password is entirely numeric.",
    "similar": lambda field: f"The password is too similar to the {SIMILAR[field]}.",
    "mismatch": "The two password fields didn't match.",
    "wrong": "Wrong password.",
    "fixed": "This value cannot be changed.",
    "invalid": "Invalid value",
}
TAKEN = {
    "username": "A user with that username already exists.",
    "email": "user with this email already exists.",
    "name": "tenant with this name already exists.",
    "slug": "tenant with this slug already exists.",
}
FILTERS: dict[str, Callable[[Any], str]] = {
    "choice": lambda given: f"Select a valid choice. {given} is not one of the available choices.",
    "unknown": lambda _: "Select a valid choice. That choice is not one of the available choices.",
    "not_boolean": lambda _: "Must be a valid boolean.",
}
NON_FIELD = "non_field_errors"
NOBODY = "You do not have permission to perform this action."


def sentence(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    if problem.code == "taken":
        return TAKEN[problem.field]
    said = SENTENCES[problem.code]
    return said if isinstance(said, str) else said(problem.detail)


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return JSON(status, body, headers)


def detail(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer of the form ``{"detail": …}``."""
    return answer(status, {"detail": text}, headers)


def _invalid(call: Call, fault: errors.Invalid) -> Response:
    return answer(400, _by_field(call, fault.problems, sentence))


def _by_field(
    call: Call, problems: Iterable[Problem], say: Callable[[Problem], str]
) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for problem in problems:
        field = call.names.get(problem.field) or WIRE.get(problem.field, problem.field)
        if problem.code == "foreign_tenant":
            field = NON_FIELD
        sentences = told.setdefault(field, [])
        if (text := say(problem)) not in sentences:
            sentences.append(text)
    return told


def filters(call: Call, fault: Exception) -> Response:
    """Say what is wrong with a list's filters; the rest as everywhere."""
    if not isinstance(fault, errors.Invalid):
        return VOICE(call, fault)
    return answer(400, _by_field(call, fault.problems, lambda p: FILTERS[p.code](p.detail)))


_MALFORMED = {
    "alone": "Invalid token header. No credentials provided.",
    "spaces": "Invalid token header. Token string should not contain spaces.",
    "characters": "Invalid token header. Token string should not contain invalid characters.",
}
_UNAUTHENTICATED = {
    "missing": "Authentication credentials were not provided.",
    "unknown": "Invalid token.",
    "inactive": "User inactive or deleted.",
}


def _unauthenticated(_: Call, fault: errors.Unauthenticated) -> Response:
    said = _MALFORMED.get(fault.detail) if fault.why == "malformed" else _UNAUTHENTICATED[fault.why]
    return detail(401, said or "Invalid token.", {"WWW-Authenticate": "Token"})


def _forbidden(call: Call, fault: errors.Forbidden) -> Response:
    if fault.reason is Reason.CLOSED:
        return detail(403, "Self-registration is disabled.")
    if fault.reason is Reason.CONFER:
        return detail(403, f"{_beyond(call)}.")
    return detail(403, NOBODY)


def _beyond(call: Call) -> str:
    if call.actor.role is Role.OWNER:
        return "Can only assign Subscriber role"
    return "Cannot assign SuperAdmin role"


def assigning(call: Call, fault: Exception) -> Response:
    """Say why a role was not assigned, in that endpoint's own form; the rest as everywhere."""
    if isinstance(fault, errors.Invalid):
        return answer(400, {"error": "Invalid role"})
    if isinstance(fault, errors.NotFound) and call.actor.role is Role.OWNER:
        return answer(403, {"error": "Cannot modify users from other tenants"})
    if isinstance(fault, errors.NoTenant):
        return answer(400, {"error": "User has no tenant"})
    if isinstance(fault, errors.LastSuperadmin):
        return answer(400, {"error": "At least one active SuperAdmin must remain."})
    if not isinstance(fault, errors.Forbidden):
        return VOICE(call, fault)
    said = {
        Reason.FUNCTION: "Insufficient permissions",
        Reason.CONFER: _beyond(call),
        Reason.ONESELF: "Cannot change your own role",
        Reason.RANK: (
            "Cannot modify a SuperAdmin"
            if call.actor.role is Role.ADMIN
            else "Insufficient permissions"
        ),
    }
    return answer(403, {"error": said.get(fault.reason, "Insufficient permissions")})


def _method(call: Call, fault: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(fault.allowed)}
    return detail(405, f'Method "{fault.method}" not allowed.', allow)


def _later(status: int, text: str) -> Callable[[Call, Any], Response]:
    def speak(_: Call, fault: Any) -> Response:
        seconds = fault.retry_after
        return detail(status, text.format(seconds), {"Retry-After": str(seconds)})

    return speak


def _last(text: str) -> Callable[[Call, Any], Response]:
    return lambda call, fault: answer(400, {NON_FIELD: [text]})


def _plain(status: int, text: str) -> Callable[[Call, Any], Response]:
    return lambda call, fault: detail(status, text)


def _unreadable(call: Call, fault: body_errors.BadRequest) -> Response:
    kinds = {bodies.FORM: "Form", bodies.MULTIPART: "Multipart form"}
    kind = kinds.get(bodies.media_type(call.request), "JSON")
    return detail(400, f"{kind} parse error - {fault.what}")


def _not_an_object(_: Call, fault: body_errors.NotAnObject) -> Response:
    said = f"Invalid data. Expected a dictionary, but got {fault.kind}."
    return answer(400, {NON_FIELD: [said]})


TABLE: dict[type[Exception], Speak] = {
    errors.NotFound: _plain(404, "Not found."),
    NoSuchPage: _plain(404, "Invalid page."),
    errors.Taken: lambda call, fault: _invalid(call, errors.Invalid(Problem(fault.field, "taken"))),
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: lambda call, fault: answer(
        400, {NON_FIELD: ["Unable to log in with provided credentials."]}
    ),
    errors.Stale: lambda call, fault: answer(400, {fault.field: ["Invalid value"]}),
    errors.Limited: _later(429, "Request was throttled. Expected available in {} seconds."),
    errors.LastOwner: _last("At least one active owner must remain."),
    errors.LastSuperadmin: _last("At least one active SuperAdmin must remain."),
    errors.InUse: _plain(400, "Cannot delete tenant with existing users."),
    errors.NoTenant: _plain(404, "No tenant assigned"),
    errors.Unavailable: _later(503, "Service temporarily unavailable, try again later."),
    body_errors.BadRequest: _unreadable,
    body_errors.TooLarge: _plain(413, "The request body is too large."),
    body_errors.UnsupportedMedia: lambda call, fault: detail(
        415, f'Unsupported media type "{fault.media_type}" in request.'
    ),
    body_errors.NotAnObject: _not_an_object,
    MethodNotAllowed: _method,
    errors.Failure: _plain(400, "The request cannot be served."),
    Exception: _plain(500, "A server error occurred."),
}
VOICE = voices(TABLE)
