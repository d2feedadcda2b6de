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
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler
from dragoman.web.pagination import NoSuchPage
from dragoman.web.responses import MsgspecResponse

FIELD_NAMES = {"phone": "phone_number", "active": "is_active", "tenant_id": "tenant"}
"""What the contract calls the directory's fields, where it differs."""

FIELD_LABELS = {
    "email": "email address",
    "first_name": "first name",
    "last_name": "last name",
    "username": "username",
}

MESSAGES: dict[str, str | Callable[[Any], str]] = {
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
    "similar": lambda field: f"The password is too similar to the {FIELD_LABELS[field]}.",
    "mismatch": "The two password fields didn't match.",
    "wrong": "Wrong password.",
    "fixed": "This value cannot be changed.",
    "invalid": "Invalid value",
}
TAKEN_MESSAGES = {
    "username": "A user with that username already exists.",
    "email": "user with this email already exists.",
    "name": "tenant with this name already exists.",
    "slug": "tenant with this slug already exists.",
}
FILTER_MESSAGES: dict[str, Callable[[Any], str]] = {
    "choice": lambda given: f"Select a valid choice. {given} is not one of the available choices.",
    "unknown": lambda _: "Select a valid choice. That choice is not one of the available choices.",
    "not_boolean": lambda _: "Must be a valid boolean.",
}
NON_FIELD_ERRORS_KEY = "non_field_errors"
PERMISSION_DENIED = "You do not have permission to perform this action."


def message_for(problem: Problem) -> str:
    """Return the contract's sentence for a problem."""
    if problem.code == "taken":
        return TAKEN_MESSAGES[problem.field]
    template = MESSAGES[problem.code]
    return template if isinstance(template, str) else template(problem.detail)


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return MsgspecResponse(status, body, headers)


def detail_response(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer of the form ``{"detail": …}``."""
    return json_response(status, {"detail": text}, headers)


def _invalid(call: Call, error: errors.Invalid) -> Response:
    return json_response(400, _field_errors(call, error.problems, message_for))


def _field_errors(
    call: Call, problems: Iterable[Problem], render_message: Callable[[Problem], str]
) -> dict[str, list[str]]:
    messages_by_field: dict[str, list[str]] = {}
    for problem in problems:
        field = call.field_names.get(problem.field) or FIELD_NAMES.get(problem.field, problem.field)
        if problem.code == "foreign_tenant":
            field = NON_FIELD_ERRORS_KEY
        messages = messages_by_field.setdefault(field, [])
        if (message := render_message(problem)) not in messages:
            messages.append(message)
    return messages_by_field


def handle_filter_error(call: Call, error: Exception) -> Response:
    """Say what is wrong with a list's filters; the rest as everywhere."""
    if not isinstance(error, errors.Invalid):
        return handle_error(call, error)
    return json_response(
        400, _field_errors(call, error.problems, lambda p: FILTER_MESSAGES[p.code](p.detail))
    )


_MALFORMED_HEADER_MESSAGES = {
    "alone": "Invalid token header. No credentials provided.",
    "spaces": "Invalid token header. Token string should not contain spaces.",
    "characters": "Invalid token header. Token string should not contain invalid characters.",
}
_UNAUTHENTICATED_MESSAGES = {
    "missing": "Authentication credentials were not provided.",
    "unknown": "Invalid token.",
    "inactive": "User inactive or deleted.",
}


def _unauthenticated(_: Call, error: errors.Unauthenticated) -> Response:
    message = (
        _MALFORMED_HEADER_MESSAGES.get(error.detail)
        if error.reason == "malformed"
        else _UNAUTHENTICATED_MESSAGES[error.reason]
    )
    return detail_response(401, message or "Invalid token.", {"WWW-Authenticate": "Token"})


def _forbidden(call: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.SIGN_UP_DISABLED:
        return detail_response(403, "Self-registration is disabled.")
    if error.reason is Reason.DELEGATION:
        return detail_response(403, f"{_unassignable_role_message(call)}.")
    return detail_response(403, PERMISSION_DENIED)


def _unassignable_role_message(call: Call) -> str:
    if call.actor.role is Role.OWNER:
        return "Can only assign Subscriber role"
    return "Cannot assign SuperAdmin role"


def handle_assign_role_error(call: Call, error: Exception) -> Response:
    """Say why a role was not assigned, in that endpoint's own form; the rest as everywhere."""
    if isinstance(error, errors.Invalid):
        return json_response(400, {"error": "Invalid role"})
    if isinstance(error, errors.NotFound) and call.actor.role is Role.OWNER:
        return json_response(403, {"error": "Cannot modify users from other tenants"})
    if isinstance(error, errors.NoTenant):
        return json_response(400, {"error": "User has no tenant"})
    if isinstance(error, errors.LastSuperadmin):
        return json_response(400, {"error": "At least one active SuperAdmin must remain."})
    if not isinstance(error, errors.Forbidden):
        return handle_error(call, error)
    messages = {
        Reason.FUNCTION: "Insufficient permissions",
        Reason.DELEGATION: _unassignable_role_message(call),
        Reason.OWN_ACCOUNT: "Cannot change your own role",
        Reason.RANK: (
            "Cannot modify a SuperAdmin"
            if call.actor.role is Role.ADMIN
            else "Insufficient permissions"
        ),
    }
    return json_response(403, {"error": messages.get(error.reason, "Insufficient permissions")})


def _method_not_allowed(call: Call, error: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(error.allowed)}
    return detail_response(405, f'Method "{error.method}" not allowed.', allow)


def _with_retry_after(status: int, text: str) -> Callable[[Call, Any], Response]:
    def render(_: Call, error: Any) -> Response:
        seconds = error.retry_after
        return detail_response(status, text.format(seconds), {"Retry-After": str(seconds)})

    return render


def _non_field_error(text: str) -> Callable[[Call, Any], Response]:
    return lambda call, error: json_response(400, {NON_FIELD_ERRORS_KEY: [text]})


def _fixed_response(status: int, text: str) -> Callable[[Call, Any], Response]:
    return lambda call, error: detail_response(status, text)


def _bad_request(call: Call, error: body_errors.BadRequest) -> Response:
    labels = {bodies.FORM_TYPE: "Form", bodies.MULTIPART_TYPE: "Multipart form"}
    label = labels.get(bodies.media_type(call.request), "JSON")
    return detail_response(400, f"{label} parse error - {error.message}")


def _not_an_object(_: Call, error: body_errors.NotAnObject) -> Response:
    message = f"Invalid data. Expected a dictionary, but got {error.type_name}."
    return json_response(400, {NON_FIELD_ERRORS_KEY: [message]})


ERROR_RENDERERS: dict[type[Exception], ErrorRenderer] = {
    errors.NotFound: _fixed_response(404, "Not found."),
    NoSuchPage: _fixed_response(404, "Invalid page."),
    errors.Taken: lambda call, error: _invalid(call, errors.Invalid(Problem(error.field, "taken"))),
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: lambda call, error: json_response(
        400, {NON_FIELD_ERRORS_KEY: ["Unable to log in with provided credentials."]}
    ),
    errors.InvalidLink: lambda call, error: json_response(400, {error.field: ["Invalid value"]}),
    errors.RateLimited: _with_retry_after(
        429, "Request was throttled. Expected available in {} seconds."
    ),
    errors.LastOwner: _non_field_error("At least one active owner must remain."),
    errors.LastSuperadmin: _non_field_error("At least one active SuperAdmin must remain."),
    errors.InUse: _fixed_response(400, "Cannot delete tenant with existing users."),
    errors.NoTenant: _fixed_response(404, "No tenant assigned"),
    errors.Unavailable: _with_retry_after(503, "Service temporarily unavailable, try again later."),
    body_errors.BadRequest: _bad_request,
    body_errors.TooLarge: _fixed_response(413, "The request body is too large."),
    body_errors.UnsupportedMedia: lambda call, error: detail_response(
        415, f'Unsupported media type "{error.media_type}" in request.'
    ),
    body_errors.NotAnObject: _not_an_object,
    MethodNotAllowed: _method_not_allowed,
    errors.DirectoryError: _fixed_response(400, "The request cannot be served."),
    Exception: _fixed_response(500, "A server error occurred."),
}
handle_error = error_handler(ERROR_RENDERERS)
