"""Every fact in Wekan's words: Meteor's errors below /api, shorter ones below /users."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import ErrorRenderer, MethodNotAllowed, error_handler
from dragoman.web.pagination import NoSuchPage
from dragoman.web.resource import route_pattern
from dragoman.web.responses import MsgspecResponse

TAKEN_MESSAGES = {"username": "Username already exists.", "email": "Email already exists."}
MISSING_USERNAME_MESSAGE = "Need to set a username or email"
MATCH_FAILED_MESSAGE = "Match failed"
WEAK_PASSWORD_MESSAGE = "Password is too weak"
WEAK_PASSWORD_CODES = frozenset({"too_short", "common", "numeric", "similar"})
"""Codes that only an operator's own policy on passwords brings about."""

PRESERVED_STATUSES = frozenset({429, 500, 503})
"""Statuses that proxies and clients must see, even where old scripts get their errors as 200."""


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return MsgspecResponse(status, body, headers)


def error_response(
    call: Call,
    status: int,
    error_code: int | str,
    reason: str,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a refusal in the form of the path: with status 200 where the settings ask for it."""
    if _route_path(call).startswith("/users/"):
        return json_response(status, {"error": error_code, "reason": reason}, headers)
    body: dict[str, Any] = {
        "isClientSafe": True,
        "error": error_code,
        "reason": reason,
        "message": f"{reason} [{error_code}]",
        "errorType": "Meteor.Error",
    }
    if status != 400:  # those of 400 are thrown by the accounts' own code, which gives none
        body["statusCode"] = status
    if _is_known_path(call) and status not in PRESERVED_STATUSES:
        status = 200 if call.directory.settings.wekan_errors_as_200 else status
    return json_response(status, body, headers)


def _route_path(call: Call) -> str:
    scope = call.request.scope
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _is_known_path(call: Call) -> bool:
    """Say whether the contract has this path at all."""
    return bool(route_pattern(call))


def _fixed_response(status: int, error_code: int | str, reason: str) -> ErrorRenderer:
    return lambda call, error: error_response(call, status, error_code, reason)


def _with_retry_after(status: int, error_code: int | str, reason: str) -> ErrorRenderer:
    return lambda call, error: error_response(
        call, status, error_code, reason, {"Retry-After": str(error.retry_after)}
    )


def _with_challenge(status: int, error_code: str, reason: str) -> ErrorRenderer:
    return lambda call, error: error_response(
        call, status, error_code, reason, {"WWW-Authenticate": "Bearer"}
    )


def _forbidden(call: Call, error: errors.Forbidden) -> Response:
    if error.reason is Reason.SIGN_UP_DISABLED:
        return Response(None, 403)
    return error_response(call, 403, "Forbidden", "Forbidden")


def _not_found(call: Call, _: errors.NotFound) -> Response:
    reason = "User not found" if _is_known_path(call) else "Not found"
    return error_response(call, 404, "not-found", reason)


def _method_not_allowed(call: Call, error: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(error.allowed)}
    return error_response(call, 405, "method-not-allowed", "Method not allowed", allow)


def _invalid(call: Call, error: errors.Invalid) -> Response:
    error_code, reason = meteor_error(error.problems, call)
    return error_response(call, 400, error_code, reason)


def meteor_error(problems: tuple[Problem, ...], call: Call) -> tuple[int, str]:
    """Return the one error that stands for all problems, as Meteor tells only the first.

    What cannot be read comes before what somebody else holds.
    """
    first = next((problem for problem in problems if problem.code != "taken"), problems[0])
    if first.code == "taken":
        field = call.field_names.get(first.field, first.field)
        return 403, TAKEN_MESSAGES.get(field, TAKEN_MESSAGES["username"])
    if (first.field, first.code) == ("username", "required"):
        return 400, MISSING_USERNAME_MESSAGE
    return 400, WEAK_PASSWORD_MESSAGE if first.code in WEAK_PASSWORD_CODES else MATCH_FAILED_MESSAGE


def _taken(call: Call, error: errors.Taken) -> Response:
    return _invalid(call, errors.Invalid(Problem(error.field, "taken")))


LAST_ADMIN_MESSAGE = "At least one active administrator must remain"
ERROR_RENDERERS: dict[type[Exception], ErrorRenderer] = {
    errors.NotFound: _not_found,
    NoSuchPage: _not_found,
    errors.Taken: _taken,
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _with_challenge(401, "Unauthorized", "Unauthorized"),
    errors.BadCredentials: _with_challenge(
        401, "login-failed", "Incorrect username, email address or password."
    ),
    errors.RateLimited: _with_retry_after(
        429, "too-many-requests", "Too many failed login attempts. Try again later."
    ),
    errors.LastOwner: _fixed_response(400, "last-owner", LAST_ADMIN_MESSAGE),
    errors.Inactive: _fixed_response(400, "login-disabled", "User's login is disabled"),
    errors.Unavailable: _with_retry_after(
        503, "unavailable", "Service unavailable. Try again later."
    ),
    body_errors.BadRequest: lambda call, error: error_response(
        call, 400, 400, f"The body cannot be read: {error.message}"
    ),
    body_errors.TooLarge: _fixed_response(413, "too-large", "The body is too large"),
    body_errors.UnsupportedMedia: _fixed_response(
        415, "unsupported-media-type", "The body is neither JSON nor a form"
    ),
    body_errors.NotAnObject: _fixed_response(400, 400, MATCH_FAILED_MESSAGE),
    MethodNotAllowed: _method_not_allowed,
    errors.DirectoryError: _fixed_response(400, 400, "The request cannot be served"),
    Exception: _fixed_response(500, 500, "Internal server error"),
}
handle_error = error_handler(ERROR_RENDERERS)
