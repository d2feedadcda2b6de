"""Every fact in VSAY Terminal's words: an envelope, a code, and sentences by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import MethodNotAllowed, Speak, voices
from dragoman.web.responses import JSON

WIRE = {
    "display_name": "name",
    "first_name": "name",
    "last_name": "name",
    "resources": "machine_ids",
    "access": "machine_access",
}
"""What the contract calls the directory's fields, where it differs."""

SIMILAR = {"username": "username", "email": "email address"}

SENTENCES: dict[str, str | Callable[[Any], str]] = {
    "required": "This field is required",
    "blank": "Must not be empty",
    "null": "Must not be null",
    "not_string": "Must be a string",
    "not_boolean": "Must be true or false",
    "not_integer": "Must be a positive whole number",
    "not_list": "Must be an array",
    "too_long": lambda limit: f"Must have at most {limit} characters",
    "too_many_bytes": lambda limit: f"Must have at most {limit} bytes",
    "too_short": lambda limit: f"Must have at least {limit} characters",
    "email": "Must be a valid email address",
    "url": "Must be a valid URL",
    "slug": "Must consist of letters, digits, hyphens and underscores",
    "username": "Must consist of letters, digits and @ . + - _",
    "unsafe": "Must not contain invisible, control or mixed characters",
    "choice": lambda allowed: f"Must be one of: {', '.join(allowed)}",
    "unknown": "Does not exist",
    "taken": "Is already in use",
    "common": "Is too common",
    "numeric": "Must not consist of digits alone",
    "similar": lambda field: f"Is too similar to the {SIMILAR.get(field, 'name')}",
    "mismatch": "Does not match",
    "wrong": "Is not correct",
    "tenant_required": "An organization is required",
    "foreign_tenant": "Must belong to your organization",
    "fixed": "Cannot be changed",
    "invalid": lambda what: f"Is not valid: {what}" if what else "Is not valid",
}


def sentence(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    said = SENTENCES[problem.code]
    return said if isinstance(said, str) else said(problem.detail)


def by_field(call: Call, problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return what is wrong, in words, under the contract's names of the fields."""
    told: dict[str, list[str]] = {}
    for problem in problems:
        field = call.names.get(problem.field) or WIRE.get(problem.field, problem.field)
        sentences = told.setdefault(field, [])
        if (said := sentence(problem)) not in sentences:
            sentences.append(said)
    return told


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return JSON(status, body, headers)


def done(status: int, data: Any = msgspec.UNSET, message: str = "") -> Response:
    """Return a success: ``data`` and ``message`` where the contract shows them."""
    body: dict[str, Any] = {"success": True}
    if data is not msgspec.UNSET:
        body["data"] = data
    if message:
        body["message"] = message
    return answer(status, body)


def refuse(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Return a refusal; ``more`` goes into its ``error`` object."""
    error = {"code": code, "message": message, **more}
    return answer(status, {"success": False, "error": error}, headers)


def _plain(status: int, code: str, message: str) -> Speak:
    return lambda call, fault: refuse(status, code, message)


def _invalid(call: Call, fault: errors.Invalid) -> Response:
    details = by_field(call, fault.problems)
    return refuse(400, "VALIDATION_ERROR", "The request is not valid", details=details)


_TAKEN = {
    "email": "A user with this email address already exists",
    "invitation": "An invitation for this email address is already pending",
}


def _taken(_: Call, fault: errors.Taken) -> Response:
    return refuse(409, "CONFLICT", _TAKEN.get(fault.field, "This value is already in use"))


_FORBIDDEN = {
    Reason.RANK: "You cannot act on a user of higher rank",
    Reason.ONESELF: "You cannot change your own role or status",
    Reason.CONFER: "You cannot give what you do not have yourself",
}


def _forbidden(_: Call, fault: errors.Forbidden) -> Response:
    said = _FORBIDDEN.get(fault.reason, "You do not have permission to perform this action")
    return refuse(403, "FORBIDDEN", said)


def _unauthorized(message: str) -> Speak:
    challenge = {"WWW-Authenticate": "Bearer"}
    return lambda call, fault: refuse(401, "UNAUTHORIZED", message, challenge)


def _later(status: int, code: str, message: str) -> Speak:
    def speak(_: Call, fault: Any) -> Response:
        return refuse(status, code, message, {"Retry-After": str(fault.retry_after)})

    return speak


def _method(_: Call, fault: MethodNotAllowed) -> Response:
    said = f"{fault.method} is not available here"
    return refuse(405, "METHOD_NOT_ALLOWED", said, {"Allow": ", ".join(fault.allowed)})


def _unreadable(_: Call, fault: body_errors.BadRequest) -> Response:
    return refuse(400, "VALIDATION_ERROR", f"The body cannot be read: {fault.what}")


TABLE: dict[type[Exception], Speak] = {
    errors.NotFound: _plain(404, "NOT_FOUND", "Resource not found"),
    errors.Stale: _plain(404, "NOT_FOUND", "Resource not found"),
    errors.Taken: _taken,
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthorized("Invalid or expired token"),
    errors.BadCredentials: _unauthorized("Invalid email or password"),
    errors.Limited: _later(429, "RATE_LIMITED", "Too many requests, try again later"),
    errors.LastOwner: _plain(409, "CONFLICT", "The last active admin must remain"),
    errors.InUse: _plain(409, "CONFLICT", "It is still in use"),
    errors.Same: _plain(409, "CONFLICT", "It is already so"),
    errors.Inactive: _plain(409, "CONFLICT", "This user is suspended"),
    errors.NoTenant: _plain(409, "CONFLICT", "This user belongs to no organization"),
    errors.Unavailable: _later(503, "SERVICE_UNAVAILABLE", "Not available now, try again later"),
    body_errors.BadRequest: _unreadable,
    body_errors.NotAnObject: _plain(400, "VALIDATION_ERROR", "The body must be a JSON object"),
    body_errors.TooLarge: _plain(413, "PAYLOAD_TOO_LARGE", "The body is too large"),
    body_errors.UnsupportedMedia: _plain(
        415, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON or a form"
    ),
    MethodNotAllowed: _method,
    errors.Failure: _plain(400, "VALIDATION_ERROR", "The request cannot be served"),
    Exception: _plain(500, "INTERNAL_ERROR", "An unexpected error occurred"),
}
VOICE = voices(TABLE)
