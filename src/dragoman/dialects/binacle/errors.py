"""Every fact in Binacle's words: a status, and sentences only for what a form got wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem
from dragoman.web import body_errors
from dragoman.web.calls import Call
from dragoman.web.errors import MethodNotAllowed, Speak, voices
from dragoman.web.responses import JSON

WIRE = {
    "email": "Email",
    "username": "Email",
    "password": "Password",
    "role": "Type",
    "active": "Status",
    "first_name": "First Name",
    "last_name": "Last Name",
}
"""What the contract calls the directory's fields; whoever is created here has no other name."""

EMPTY = "'{name}' must not be empty."
SHAPE = "'{name}' is not in the correct format."
ADDRESS = "'Email' is not a valid email address."
SENTENCES: dict[str, str] = {
    "required": EMPTY,
    "null": EMPTY,
    "blank": EMPTY,
    "too_long": "The length of '{name}' must be {detail} characters or fewer.",
    "too_short": "The length of '{name}' must be at least {detail} characters. "
    "You entered {entered} characters.",
    "too_many_bytes": "The length of '{name}' must be {detail} bytes or fewer.",
    "common": "'{name}' must not be a common one.",
    "numeric": "'{name}' must not consist of digits alone.",
    "similar": "'{name}' must not resemble '{detail}'.",
}
ONE_OF = (
    "'{name}' must not be empty when '{other}' is empty"
    " and only accepts the following values: {words}"
)
CHOICES = {
    "role": ONE_OF.format(name="Type", other="Status", words="'User', 'Admin'"),
    "active": ONE_OF.format(name="Status", other="Type", words="'Active', 'Inactive'"),
}


def sentences(problem: Problem, entered: int = 0) -> Iterator[str]:
    """Give what the contract says to a problem; ``entered`` is the password's length."""
    if problem.field in CHOICES:
        yield CHOICES[problem.field]
        return
    name = WIRE.get(problem.field, problem.field)
    if name == "Email" and problem.code not in {"required", "null"}:
        if problem.code == "blank":
            yield EMPTY.format(name=name)
        yield ADDRESS
        return
    detail = (
        WIRE.get(problem.detail, problem.detail) if problem.code == "similar" else problem.detail
    )
    said = SENTENCES.get(problem.code, SHAPE)
    yield said.format(name=name, detail=detail, entered=entered)


def refusal(said: list[str]) -> Response:
    """Return the one refusal that has a body."""
    return JSON(400, {"message": "Validation Error", "errors": said})


def _invalid(call: Call, fault: errors.Invalid) -> Response:
    """Say everything that is wrong; only where nothing else is, that the address is taken."""
    wrong = [problem for problem in fault.problems if problem.code != "taken"]
    if not wrong:
        return Response(None, 409)
    entered = getattr(call.request.state, "entered", 0)
    told = [p for p in wrong if p.field != "username"] or wrong  # it is the address once more
    return refusal(list(dict.fromkeys(s for p in told for s in sentences(p, entered))))


def _unauthenticated(_: Call, fault: errors.Unauthenticated) -> Response:
    presented = fault.why != "missing" and fault.detail != "alone"
    scheme = 'Bearer error="invalid_token"' if presented else "Bearer"
    return Response(None, 401, {"WWW-Authenticate": scheme})


def _method(_: Call, fault: MethodNotAllowed) -> Response:
    return Response(None, 405, {"Allow": ", ".join(fault.allowed)})


def _plain(status: int, headers: dict[str, str] | None = None) -> Speak:
    return lambda call, fault: Response(None, status, headers)


def _later(status: int) -> Callable[[Call, Any], Response]:
    return lambda call, fault: Response(None, status, {"Retry-After": str(fault.retry_after)})


TABLE: dict[type[Exception], Speak] = {
    errors.NotFound: _plain(404),
    errors.Taken: _plain(409),
    errors.Invalid: _invalid,
    errors.Forbidden: _plain(403),
    errors.Unauthenticated: _unauthenticated,
    errors.BadCredentials: _plain(401, {"WWW-Authenticate": "Bearer"}),
    errors.Limited: _later(429),
    errors.LastOwner: _plain(409),
    errors.Same: _plain(409),
    errors.InUse: _plain(409),
    errors.Inactive: _plain(409),
    errors.NoTenant: _plain(409),
    errors.Unavailable: _later(503),
    body_errors.TooLarge: _plain(413),
    body_errors.UnsupportedMedia: _plain(415),
    MethodNotAllowed: _method,
    errors.Failure: _plain(400),
    Exception: _plain(500),
}
VOICE = voices(TABLE)
