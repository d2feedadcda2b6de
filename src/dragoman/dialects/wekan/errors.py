"""Every fact in Wekan's words: Meteor's errors below /api, shorter ones below /users."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import MethodNotAllowed, Speak, voices
from dragoman.web.pagination import NoSuchPage
from dragoman.web.resource import route_of
from dragoman.web.responses import JSON

TAKEN = {"username": "Username already exists.", "email": "Email already exists."}
NAMELESS = "Need to set a username or email"
MISMATCH = "Match failed"
WEAK = "Password is too weak"
WEAKNESSES = frozenset({"too_short", "common", "numeric", "similar"})
"""Codes that only an operator's own policy on passwords brings about."""

KEEPS_STATUS = frozenset({429, 500, 503})
"""Statuses that proxies and clients must see, even where old scripts get their errors as 200."""


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return JSON(status, body, headers)


def refuse(
    call: Call, status: int, error: int | str, reason: str, headers: dict[str, str] | None = None
) -> Response:
    """Return a refusal in the form of the path: with status 200 where the settings ask for it."""
    if _path_of(call).startswith("/users/"):
        return answer(status, {"error": error, "reason": reason}, headers)
    body: dict[str, Any] = {
        "isClientSafe": True,
        "error": error,
        "reason": reason,
        "message": f"{reason} [{error}]",
        "errorType": "Meteor.Error",
    }
    if status != 400:  # those of 400 are thrown by the accounts' own code, which gives none
        body["statusCode"] = status
    if _is_known(call) and status not in KEEPS_STATUS:
        status = 200 if call.directory.settings.wekan_errors_as_200 else status
    return answer(status, body, headers)


def _path_of(call: Call) -> str:
    scope = call.request.scope
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _is_known(call: Call) -> bool:
    """Say whether the contract has this path at all."""
    return bool(route_of(call))


def _plain(status: int, error: int | str, reason: str) -> Speak:
    return lambda call, fault: refuse(call, status, error, reason)


def _later(status: int, error: int | str, reason: str) -> Speak:
    return lambda call, fault: refuse(
        call, status, error, reason, {"Retry-After": str(fault.retry_after)}
    )


def _unauthenticated(status: int, error: str, reason: str) -> Speak:
    return lambda call, fault: refuse(call, status, error, reason, {"WWW-Authenticate": "Bearer"})


def _forbidden(call: Call, fault: errors.Forbidden) -> Response:
    if fault.reason is Reason.CLOSED:
        return Response(None, 403)
    return refuse(call, 403, "Forbidden", "Forbidden")


def _not_found(call: Call, _: errors.NotFound) -> Response:
    what = "User not found" if _is_known(call) else "Not found"
    return refuse(call, 404, "not-found", what)


def _method(call: Call, fault: MethodNotAllowed) -> Response:
    allow = {"Allow": ", ".join(fault.allowed)}
    return refuse(call, 405, "method-not-allowed", "Method not allowed", allow)


def _invalid(call: Call, fault: errors.Invalid) -> Response:
    error, reason = said(fault.problems, call)
    return refuse(call, 400, error, reason)


def said(problems: tuple[Problem, ...], call: Call) -> tuple[int, str]:
    """Return the one error that stands for all problems, as Meteor tells only the first.

    What cannot be read comes before what somebody else holds.
    """
    first = next((problem for problem in problems if problem.code != "taken"), problems[0])
    if first.code == "taken":
        field = call.names.get(first.field, first.field)
        return 403, TAKEN.get(field, TAKEN["username"])
    if (first.field, first.code) == ("username", "required"):
        return 400, NAMELESS
    return 400, WEAK if first.code in WEAKNESSES else MISMATCH


def _taken(call: Call, fault: errors.Taken) -> Response:
    return _invalid(call, errors.Invalid(Problem(fault.field, "taken")))


LAST = "At least one active administrator must remain"
TABLE: dict[type[Exception], Speak] = {
    errors.NotFound: _not_found,
    NoSuchPage: _not_found,
    errors.Taken: _taken,
    errors.Invalid: _invalid,
    errors.Forbidden: _forbidden,
    errors.Unauthenticated: _unauthenticated(401, "Unauthorized", "Unauthorized"),
    errors.BadCredentials: _unauthenticated(
        401, "login-failed", "Incorrect username, email address or password."
    ),
    errors.Limited: _later(
        429, "too-many-requests", "Too many failed login attempts. Try again later."
    ),
    errors.LastOwner: _plain(400, "last-owner", LAST),
    errors.Inactive: _plain(400, "login-disabled", "User's login is disabled"),
    errors.Unavailable: _later(503, "unavailable", "Service unavailable. Try again later."),
    body_errors.BadRequest: lambda call, fault: refuse(
        call, 400, 400, f"The body cannot be read: {fault.what}"
    ),
    body_errors.TooLarge: _plain(413, "too-large", "The body is too large"),
    body_errors.UnsupportedMedia: _plain(
        415, "unsupported-media-type", "The body is neither JSON nor a form"
    ),
    body_errors.NotAnObject: _plain(400, 400, MISMATCH),
    MethodNotAllowed: _method,
    errors.Failure: _plain(400, 400, "The request cannot be served"),
    Exception: _plain(500, 500, "Internal server error"),
}
VOICE = voices(TABLE)
