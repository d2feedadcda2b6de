"""Errors of Wekan: Meteor's error objects below /api, shorter ones below /users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dragoman.dialects.wekan.settings import WekanSettings
from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import (
    ErrorRenderer,
    MethodNotAllowed,
    error_handler,
    error_headers,
    taken_as_invalid,
)
from dragoman.web.pagination import NoSuchPage
from dragoman.web.resource import route_pattern
from dragoman.web.responses import MsgspecResponse

TAKEN_MESSAGES = {"username": "Username already exists.", "email": "Email already exists."}
MISSING_USERNAME_MESSAGE = "Need to set a username or email"
MATCH_FAILED_MESSAGE = "Match failed"
WEAK_PASSWORD_MESSAGE = "Password is too weak"
LAST_ADMIN_MESSAGE = "At least one active administrator must remain"
WEAK_ADMIN_PASSWORD_MESSAGE = "Password is too short for an administrator"
WEAK_PASSWORD_CODES = frozenset({"too_short", "common", "numeric", "similar"})
"""Codes of the operator's password policy; the contract itself has no rules for passwords."""

PRESERVED_STATUSES = frozenset({429, 500, 503})
"""Statuses that proxies and clients need; never replaced by 200."""


def error_response(
    call: Call,
    status: int,
    error_code: int | str,
    reason: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response in the format of the request's path.

    Args:
        call: the request.
        status: the HTTP status; 200 instead if the settings ask for it.
        error_code: Meteor's ``error``.
        reason: one sentence.
        headers: further headers.
    """
    if _route_path(call).startswith("/users/"):
        return MsgspecResponse(status, {"error": error_code, "reason": reason}, headers)
    body: dict[str, Any] = {
        "isClientSafe": True,
        "error": error_code,
        "reason": reason,
        "message": f"{reason} [{error_code}]",
        "errorType": "Meteor.Error",
    }
    if status != 400:  # Meteor's accounts packages, which throw the 400s, set none
        body["statusCode"] = status
    if _is_known_path(call) and status not in PRESERVED_STATUSES:
        settings = call.directory.settings.for_contract(WekanSettings)
        status = 200 if settings.wekan_errors_as_200 else status
    return MsgspecResponse(status, body, headers)


def _route_path(call: Call) -> str:
    root_path = call.request.scope.get("root_path", "")
    return call.path.removeprefix(root_path).removesuffix("/")


def _is_known_path(call: Call) -> bool:
    """Return whether the contract has a route for this path."""
    return bool(route_pattern(call))


def _renderer(
    status: int, error_code: int | str, template: str, headers: Mapping[str, str] | None = None
) -> ErrorRenderer:
    """Return a renderer; ``{error.…}`` in the template is an attribute of the error."""
    return lambda call, error: error_response(
        call,
        status,
        error_code,
        template.format(error=error),
        {**(headers or {}), **error_headers(error)},
    )


def _forbidden(call: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.SIGN_UP_DISABLED:
        return Response(None, 403)
    return error_response(call, 403, "Forbidden", "Forbidden")


def _not_found(call: Call, _: errors.NotFound) -> Response:
    reason = "User not found" if _is_known_path(call) else "Not found"
    return error_response(call, 404, "not-found", reason)


def _invalid(call: Call, error: errors.Invalid) -> Response:
    error_code, reason = meteor_error(error.problems, call)
    return error_response(call, 400, error_code, reason)


def meteor_error(problems: tuple[Problem, ...], call: Call) -> tuple[int, str]:
    """Return the code and the reason of the first problem, since Meteor reports only one.

    A value that is taken is reported only if nothing else is wrong.
    """
    first = next((problem for problem in problems if problem.code != "taken"), problems[0])
    if first.code == "taken":
        field = call.field_names.get(first.field, first.field)
        return 403, TAKEN_MESSAGES.get(field, TAKEN_MESSAGES["username"])
    if (first.field, first.code) == ("username", "required"):
        return 400, MISSING_USERNAME_MESSAGE
    if first.code == "weak":
        return 400, WEAK_ADMIN_PASSWORD_MESSAGE
    return 400, WEAK_PASSWORD_MESSAGE if first.code in WEAK_PASSWORD_CODES else MATCH_FAILED_MESSAGE


_CHALLENGE = {"WWW-Authenticate": "Bearer"}
ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    errors.NotFound: _not_found,
    NoSuchPage: _not_found,
    errors.Taken: lambda call, error: _invalid(call, taken_as_invalid(error)),
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _renderer(401, "Unauthorized", "Unauthorized", _CHALLENGE),
    errors.BadCredentials: _renderer(
        401, "login-failed", "Incorrect username, email address or password.", _CHALLENGE
    ),
    errors.RateLimited: _renderer(
        429, "too-many-requests", "Too many failed login attempts. Try again later."
    ),
    errors.LastOwner: _renderer(400, "last-owner", LAST_ADMIN_MESSAGE),
    errors.Inactive: _renderer(400, "login-disabled", "User's login is disabled"),
    errors.Unavailable: _renderer(503, "unavailable", "Service unavailable. Try again later."),
    body_errors.BadRequest: _renderer(400, 400, "The body cannot be read: {error.message}"),
    body_errors.TooLarge: _renderer(413, "too-large", "The body is too large"),
    body_errors.UnsupportedMedia: _renderer(
        415, "unsupported-media-type", "The body must be JSON or form data"
    ),
    body_errors.NotAnObject: _renderer(400, 400, MATCH_FAILED_MESSAGE),
    MethodNotAllowed: _renderer(405, "method-not-allowed", "Method not allowed"),
    errors.DirectoryError: _renderer(400, 400, "The request could not be processed"),
    Exception: _renderer(500, 500, "Internal server error"),
}
handle_error = error_handler(ERROR_RENDERERS)
