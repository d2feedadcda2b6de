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
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {
    "display_name": "name",
    "first_name": "name",
    "last_name": "name",
    "resources": "machine_ids",
    "access": "machine_access",
}
"""What the contract calls the directory's fields, where it differs."""

FIELD_LABELS = {"username": "username", "email": "email address"}

MESSAGES: dict[str, str | Callable[[Any], str]] = {
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
    "similar": lambda field: f"Is too similar to the {FIELD_LABELS.get(field, 'name')}",
    "mismatch": "Does not match",
    "wrong": "Is not correct",
    "tenant_required": "An organization is required",
    "foreign_tenant": "Must belong to your organization",
    "fixed": "Cannot be changed",
    "invalid": lambda what: f"Is not valid: {what}" if what else "Is not valid",
}


def message_for(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    template = MESSAGES[problem.code]
    return template if isinstance(template, str) else template(problem.detail)


def field_errors(call: Call, problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return what is wrong, in words, under the contract's names of the fields."""
    messages_by_field: dict[str, list[str]] = {}
    for problem in problems:
        field = call.field_names.get(problem.field) or FIELD_NAMES.get(problem.field, problem.field)
        messages = messages_by_field.setdefault(field, [])
        if (message := message_for(problem)) not in messages:
            messages.append(message)
    return messages_by_field


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return MsgspecResponse(status, body, headers)


def success_response(status: int, data: Any = msgspec.UNSET, message: str = "") -> Response:
    """Return a success: ``data`` and ``message`` where the contract shows them."""
    body: dict[str, Any] = {"success": True}
    if data is not msgspec.UNSET:
        body["data"] = data
    if message:
        body["message"] = message
    return json_response(status, body)


def error_response(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    """Return a refusal; ``more`` goes into its ``error`` object."""
    error_object = {"code": code, "message": message, **extra}
    return json_response(status, {"success": False, "error": error_object}, headers)


def _fixed_response(status: int, code: str, message: str) -> ErrorRenderer:
    return lambda call, error: error_response(status, code, message)


def _invalid(call: Call, error: errors.Invalid) -> Response:
    details = field_errors(call, error.problems)
    return error_response(400, "VALIDATION_ERROR", "The request is not valid", details=details)


_TAKEN_MESSAGES = {
    "email": "A user with this email address already exists",
    "invitation": "An invitation for this email address is already pending",
}


def _taken(_: Call, error: errors.Taken) -> Response:
    return error_response(
        409, "CONFLICT", _TAKEN_MESSAGES.get(error.field, "This value is already in use")
    )


_FORBIDDEN_MESSAGES = {
    Reason.RANK: "You cannot act on a user of higher rank",
    Reason.OWN_ACCOUNT: "You cannot change your own role or status",
    Reason.DELEGATION: "You cannot give what you do not have yourself",
}


def _forbidden(_: Call, error: errors.Forbidden) -> Response:
    message = _FORBIDDEN_MESSAGES.get(
        error.reason, "You do not have permission to perform this action"
    )
    return error_response(403, "FORBIDDEN", message)


def _with_challenge(message: str) -> ErrorRenderer:
    challenge = {"WWW-Authenticate": "Bearer"}
    return lambda call, error: error_response(401, "UNAUTHORIZED", message, challenge)


def _with_retry_after(status: int, code: str, message: str) -> ErrorRenderer:
    def render(_: Call, error: Any) -> Response:
        return error_response(status, code, message, {"Retry-After": str(error.retry_after)})

    return render


def _method_not_allowed(_: Call, error: MethodNotAllowed) -> Response:
    message = f"{error.method} is not available here"
    return error_response(405, "METHOD_NOT_ALLOWED", message, {"Allow": ", ".join(error.allowed)})


def _bad_request(_: Call, error: body_errors.BadRequest) -> Response:
    return error_response(400, "VALIDATION_ERROR", f"The body cannot be read: {error.message}")


ERROR_RENDERERS: dict[type[Exception], ErrorRenderer] = {
    errors.NotFound: _fixed_response(404, "NOT_FOUND", "Resource not found"),
    errors.InvalidLink: _fixed_response(404, "NOT_FOUND", "Resource not found"),
    errors.Taken: _taken,
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _with_challenge("Invalid or expired token"),
    errors.BadCredentials: _with_challenge("Invalid email or password"),
    errors.RateLimited: _with_retry_after(
        429, "RATE_LIMITED", "Too many requests, try again later"
    ),
    errors.LastOwner: _fixed_response(409, "CONFLICT", "The last active admin must remain"),
    errors.InUse: _fixed_response(409, "CONFLICT", "It is still in use"),
    errors.Unchanged: _fixed_response(409, "CONFLICT", "It is already so"),
    errors.Inactive: _fixed_response(409, "CONFLICT", "This user is suspended"),
    errors.NoTenant: _fixed_response(409, "CONFLICT", "This user belongs to no organization"),
    errors.Unavailable: _with_retry_after(
        503, "SERVICE_UNAVAILABLE", "Not available now, try again later"
    ),
    body_errors.BadRequest: _bad_request,
    body_errors.NotAnObject: _fixed_response(
        400, "VALIDATION_ERROR", "The body must be a JSON object"
    ),
    body_errors.TooLarge: _fixed_response(413, "PAYLOAD_TOO_LARGE", "The body is too large"),
    body_errors.UnsupportedMedia: _fixed_response(
        415, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON or a form"
    ),
    MethodNotAllowed: _method_not_allowed,
    errors.DirectoryError: _fixed_response(400, "VALIDATION_ERROR", "The request cannot be served"),
    Exception: _fixed_response(500, "INTERNAL_ERROR", "An unexpected error occurred"),
}
handle_error = error_handler(ERROR_RENDERERS)
