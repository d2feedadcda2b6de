"""Error format of Django REST framework, its token authentication and Django's password rules."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Reason
from dragoman.web import bodies, body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import (
    ErrorRenderer,
    Messages,
    MethodNotAllowed,
    error_headers,
    messages_by_field,
)
from dragoman.web.pagination import NoSuchPage
from dragoman.web.responses import MsgspecResponse

NON_FIELD_ERRORS_KEY = "non_field_errors"
"""The key of messages that concern no single field (DRF's default for that setting)."""

FIELD_LABELS = {
    "email": "email address",
    "first_name": "first name",
    "last_name": "last name",
}
"""Django's verbose names of its user's fields, where they differ from the names."""

MESSAGES: Messages = {
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
    "choice": lambda value: f'"{value}" is not a valid choice.',
    "unknown": lambda pk: f'Invalid pk "{pk}" - object does not exist.',
    "taken": "This value is taken.",
    "username.taken": "A user with that username already exists.",
    "email.taken": "user with this email already exists.",
    "not_own_email": "An e-mail address may be used only if it is your own.",
    "tenant_required": "This field is required for this role.",
    "foreign_tenant": "This tenant is not available to you.",
    "too_short": lambda n: f"This password is too short. It must contain at least {n} characters.",
    "common": "This password is too common.",
    "numeric": "This password is entirely numeric.",
    "similar": lambda field: (
        f"The password is too similar to the {FIELD_LABELS.get(field, field)}."
    ),
    "weak": lambda detail: (
        f"This password is too short. It must contain at least {detail} characters."
        if isinstance(detail, int)
        else f"The password is too similar to the {FIELD_LABELS.get(detail, detail)}."
    ),
    "mismatch": "The two password fields didn't match.",
    "wrong": "Wrong password.",
    "fixed": "This value cannot be changed.",
    "invalid": "Invalid value",
}
"""The framework's messages by problem code; those that it lacks are in its style."""

_MALFORMED_HEADER_MESSAGES = {
    "alone": "Invalid token header. No credentials provided.",
    "spaces": "Invalid token header. Token string should not contain spaces.",
    "characters": "Invalid token header. Token string should not contain invalid characters.",
}
_UNAUTHENTICATED_MESSAGES = {
    "missing": "Authentication credentials were not provided.",
    "inactive": "User inactive or deleted.",
}


def detail_response(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with the body ``{"detail": message}``."""
    return MsgspecResponse(status, {"detail": message}, headers)


def field_errors_response(
    error: errors.Invalid, messages: Messages, field_names: Mapping[str, str]
) -> Response:
    """Return a response with the body ``{field: [message, …]}`` (status 400)."""
    return MsgspecResponse(400, messages_by_field(error.problems, messages, field_names))


def detail_renderer(status: int, template: str) -> ErrorRenderer:
    """Return a renderer of ``{"detail": …}``; ``{error.…}`` in the template is an attribute."""
    return lambda call, error: detail_response(
        status, template.format(error=error), error_headers(error)
    )


def non_field_renderer(template: str) -> ErrorRenderer:
    """Return a renderer of ``{"non_field_errors": […]}`` (status 400)."""
    return lambda call, error: MsgspecResponse(
        400, {NON_FIELD_ERRORS_KEY: [template.format(error=error)]}
    )


def _unauthenticated(_: Call, error: errors.Unauthenticated) -> Response:
    message = _MALFORMED_HEADER_MESSAGES.get(error.detail) or _UNAUTHENTICATED_MESSAGES.get(
        error.reason
    )
    return detail_response(401, message or "Invalid token.", {"WWW-Authenticate": "Token"})


def _forbidden(_: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.SIGN_UP_DISABLED:
        return detail_response(403, "Self-registration is disabled.")
    return detail_response(403, "You do not have permission to perform this action.")


def _bad_request(call: Call, error: body_errors.BadRequest) -> Response:
    formats = {bodies.FORM_TYPE: "Form", bodies.MULTIPART_TYPE: "Multipart form"}
    body_format = formats.get(bodies.media_type(call.request), "JSON")
    return detail_response(400, f"{body_format} parse error - {error.message}")


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    errors.NotFound: detail_renderer(404, "Not found."),
    NoSuchPage: detail_renderer(404, "Invalid page."),
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: non_field_renderer("Unable to log in with provided credentials."),
    errors.RateLimited: detail_renderer(
        429, "Request was throttled. Expected available in {error.retry_after} seconds."
    ),
    errors.LastOwner: non_field_renderer("At least one active owner must remain."),
    errors.LastSuperadmin: non_field_renderer("At least one active SuperAdmin must remain."),
    errors.Unavailable: detail_renderer(503, "Service temporarily unavailable, try again later."),
    body_errors.BadRequest: _bad_request,
    body_errors.TooLarge: detail_renderer(413, "The request body is too large."),
    body_errors.UnsupportedMedia: detail_renderer(
        415, 'Unsupported media type "{error.media_type}" in request.'
    ),
    body_errors.NotAnObject: non_field_renderer(
        "Invalid data. Expected a dictionary, but got {error.type_name}."
    ),
    MethodNotAllowed: detail_renderer(405, 'Method "{error.method}" not allowed.'),
    errors.DirectoryError: detail_renderer(400, "The request cannot be served."),
    Exception: detail_renderer(500, "A server error occurred."),
}
"""Renderers of all errors but Invalid, Taken and InvalidLink, which need a contract's messages."""
