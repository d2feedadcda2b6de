"""Errors of VSAY Terminal: an envelope with a code, a message and messages by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Reason
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import (
    ErrorRenderer,
    Messages,
    MethodNotAllowed,
    error_handler,
    error_headers,
    messages_by_field,
)
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {
    "display_name": "name",
    "first_name": "name",
    "last_name": "name",
    "resources": "machine_ids",
    "access": "machine_access",
}
"""The contract's names of the directory's fields, where they differ."""

FIELD_LABELS = {"username": "username", "email": "email address"}
"""Names of fields within messages; the others are all parts of the name."""

MESSAGES: Messages = {
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
    "weak": lambda detail: (
        f"Must have at least {detail} characters"
        if isinstance(detail, int)
        else f"Must not be the {FIELD_LABELS.get(detail, detail)}"
    ),
    "email": "Must be a valid email address",
    "url": "Must be a valid URL",
    "slug": "Must consist of letters, digits, hyphens and underscores",
    "username": "Must consist of letters, digits and @ . + - _",
    "unsafe": "Must not contain invisible, control or mixed characters",
    "choice": lambda choices: f"Must be one of: {', '.join(choices)}",
    "unknown": "Does not exist",
    "taken": "Is already in use",
    "not_own_email": "Must not be the email address of somebody else",
    "common": "Is too common",
    "numeric": "Must not consist of digits only",
    "similar": lambda field: f"Is too similar to the {FIELD_LABELS.get(field, 'name')}",
    "mismatch": "Does not match",
    "wrong": "Is not correct",
    "tenant_required": "An organization is required",
    "foreign_tenant": "Must belong to your organization",
    "fixed": "Cannot be changed",
    "invalid": lambda cause: f"Is not valid: {cause}" if cause else "Is not valid",
}
_TAKEN_MESSAGES = {
    "email": "A user with this email address already exists",
    "invitation": "An invitation for this email address is already pending",
}
_FORBIDDEN_MESSAGES = {
    Reason.RANK: "You cannot act on a user of higher rank",
    Reason.OWN_ACCOUNT: "You cannot change your own role or status",
    Reason.POWER: "You cannot act on a user who has rights that you do not have",
    Reason.DELEGATION: "You cannot grant rights that you do not have",
}
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def success_response(status: int, data: Any = msgspec.UNSET, message: str = "") -> Response:
    """Return a successful response; ``data`` and ``message`` are omitted unless given."""
    body: dict[str, Any] = {"success": True}
    if data is not msgspec.UNSET:
        body["data"] = data
    if message:
        body["message"] = message
    return MsgspecResponse(status, body)


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> Response:
    """Return an error response.

    Args:
        status: the HTTP status.
        code: the contract's code of the error.
        message: one sentence.
        headers: further headers.
        extra: further members of the ``error`` object.
    """
    error_object = {"code": code, "message": message, **extra}
    return MsgspecResponse(status, {"success": False, "error": error_object}, headers)


def field_errors(error: errors.Invalid, field_names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return messages by the contract's field names; ``field_names`` are those of a form."""
    return messages_by_field(error.problems, MESSAGES, {**FIELD_NAMES, **field_names})


def _renderer(
    status: int, code: str, template: str, headers: Mapping[str, str] | None = None
) -> ErrorRenderer:
    """Return a renderer; ``{error.…}`` in the template is an attribute of the error."""
    return lambda call, error: error_response(
        status, code, template.format(error=error), {**(headers or {}), **error_headers(error)}
    )


def _invalid(call: Call, error: errors.Invalid) -> Response:
    details = field_errors(error, call.field_names)
    return error_response(400, "VALIDATION_ERROR", "The request is not valid", details=details)


def _taken(_: Call, error: errors.Taken) -> Response:
    message = _TAKEN_MESSAGES.get(error.field, "This value is already in use")
    return error_response(409, "CONFLICT", message)


def _forbidden(_: Call, error: errors.Forbidden) -> Response:
    message = _FORBIDDEN_MESSAGES.get(
        error.reason, "You do not have permission to perform this action"
    )
    return error_response(403, "FORBIDDEN", message)


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    errors.NotFound: _renderer(404, "NOT_FOUND", "Resource not found"),
    errors.InvalidLink: _renderer(404, "NOT_FOUND", "Resource not found"),
    errors.Taken: _taken,
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _renderer(401, "UNAUTHORIZED", "Invalid or expired token", _CHALLENGE),
    errors.BadCredentials: _renderer(401, "UNAUTHORIZED", "Invalid email or password", _CHALLENGE),
    errors.RateLimited: _renderer(429, "RATE_LIMITED", "Too many requests, try again later"),
    errors.LastOwner: _renderer(409, "CONFLICT", "The last active admin must remain"),
    errors.InUse: _renderer(409, "CONFLICT", "The resource is still in use"),
    errors.Unchanged: _renderer(409, "CONFLICT", "The value is unchanged"),
    errors.Inactive: _renderer(409, "CONFLICT", "This user is suspended"),
    errors.WeakPassword: _renderer(409, "CONFLICT", "The user needs a longer password first"),
    errors.NoTenant: _renderer(409, "CONFLICT", "This user belongs to no organization"),
    errors.Unavailable: _renderer(
        503, "SERVICE_UNAVAILABLE", "Service temporarily unavailable, try again later"
    ),
    body_errors.BadRequest: _renderer(
        400, "VALIDATION_ERROR", "The body cannot be read: {error.message}"
    ),
    body_errors.NotAnObject: _renderer(400, "VALIDATION_ERROR", "The body must be a JSON object"),
    body_errors.TooLarge: _renderer(413, "PAYLOAD_TOO_LARGE", "The body is too large"),
    body_errors.UnsupportedMedia: _renderer(
        415, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON or form data"
    ),
    MethodNotAllowed: _renderer(405, "METHOD_NOT_ALLOWED", "Method {error.method} is not allowed"),
    errors.DirectoryError: _renderer(400, "VALIDATION_ERROR", "The request could not be processed"),
    Exception: _renderer(500, "INTERNAL_ERROR", "An unexpected error occurred"),
}
handle_error = error_handler(ERROR_RENDERERS)
