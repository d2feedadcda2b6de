"""Every fact in the terminal's words, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import rich_click as click

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.settings import SettingsError
from dragoman.web import body_errors

ERROR, USAGE, NOT_FOUND, CONFLICT, PARTLY = 1, 2, 3, 4, 5


class Told(Exception):  # noqa: N818 - a fact of the terminal alone
    """What only the command line can say: its exit code and its lines."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = list(lines)


Speak = Callable[[Any], tuple[int, list[str]]]

SENTENCES: Mapping[str, str | Callable[[Any], str]] = {
    "required": "is required",
    "blank": "must not be empty",
    "null": "must not be null",
    "not_string": "must be a text",
    "not_boolean": "must be true or false",
    "not_integer": "must be a whole number",
    "not_list": "must be a list",
    "too_long": lambda limit: f"must have {limit} characters at most",
    "too_short": lambda limit: f"must have at least {limit} characters",
    "too_many_bytes": lambda limit: f"must have {limit} bytes at most",
    "email": "is no e-mail address",
    "url": "is no http or https address",
    "slug": "may have ASCII letters, digits, - and _ only",
    "username": "may have letters, digits and @ . + - _ only",
    "unsafe": "has invisible or control characters, or letters of several scripts in one word",
    "choice": lambda given: f"cannot be {given!r}",
    "unknown": lambda given: f"nobody has the id {given}",
    "taken": "is taken",
    "common": "is too common",
    "numeric": "must not be digits alone",
    "similar": lambda field: f"is too similar to the {str(field).replace('_', ' ')}",
    "mismatch": "differs from its repetition",
    "wrong": "is wrong",
    "tenant_required": "is required for this role",
    "foreign_tenant": "is not the own one",
    "fixed": "cannot be changed",
    "invalid": "is invalid",
}

REASONS: Mapping[Reason, str] = {
    Reason.FUNCTION: "this may not be done",
    Reason.REACH: "this may not be done to that user",
    Reason.RANK: "that user stands higher",
    Reason.ONESELF: "nobody does this to the own account",
    Reason.CONFER: "nobody confers more than the own rights",
    Reason.CLOSED: "self-registration is off (DRAGOMAN_SELF_REGISTRATION)",
}

WHAT: Mapping[str, str] = {
    "database": "the database cannot serve now",
    "hashing": "too many passwords wait to be hashed",
    "signing key": "another server's key sealed the signing key ('dragoman keys rotate' makes one)",
}


def sentence(problem: Problem) -> str:
    """Return one line that says what is wrong with a field."""
    said = SENTENCES[problem.code]
    return f"{problem.field}: {said if isinstance(said, str) else said(problem.detail)}"


def _invalid(fault: errors.Invalid) -> tuple[int, list[str]]:
    taken = all(problem.code == "taken" for problem in fault.problems)
    lines = list(dict.fromkeys(sentence(problem) for problem in fault.problems))
    return CONFLICT if taken and lines else ERROR, lines or ["it is invalid"]


def _unavailable(fault: errors.Unavailable) -> tuple[int, list[str]]:
    said = WHAT.get(str(fault), f"the {fault} cannot serve now")
    cause = fault.__cause__
    why = str(cause).splitlines()[0] if cause is not None and str(cause) else ""
    if cause is not None and not why:
        why = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
    return ERROR, [f"{said}: {why}" if why else said]


def _system(fault: OSError) -> tuple[int, list[str]]:
    where = f"{fault.filename}: " if fault.filename else ""
    return ERROR, [f"{where}{fault.strerror or fault}"]


def _plain(code: int, text: str) -> Speak:
    return lambda _: (code, [text])


TABLE: Mapping[type[Exception], Speak] = {
    Told: lambda fault: (fault.code, fault.lines),
    SettingsError: lambda fault: (ERROR, fault.lines),
    errors.NotFound: _plain(NOT_FOUND, "there is no such thing"),
    errors.Taken: lambda fault: _invalid(errors.Invalid(Problem(fault.field, "taken"))),
    errors.Invalid: _invalid,
    errors.Forbidden: lambda fault: (ERROR, [REASONS[fault.reason]]),
    errors.Unauthenticated: _plain(ERROR, "the credential is not valid"),
    errors.Same: lambda fault: (CONFLICT, [f"{fault.field}: is that already"]),
    errors.Inactive: _plain(
        ERROR, "the user is switched off ('dragoman users activate' switches it on)"
    ),
    errors.BadCredentials: _plain(ERROR, "no user has this name and this password"),
    errors.Stale: _plain(ERROR, "the secret is used, expired or unknown"),
    errors.Limited: lambda fault: (
        ERROR,
        [f"too many of these; try again in {fault.retry_after} seconds"],
    ),
    errors.LastOwner: _plain(CONFLICT, "the tenant would lose its last active owner"),
    errors.LastSuperadmin: _plain(CONFLICT, "the platform would lose its last active superadmin"),
    errors.InUse: _plain(CONFLICT, "it cannot go while others depend on it"),
    errors.NoTenant: _plain(ERROR, "the user belongs to no tenant, and this role needs one"),
    errors.Unavailable: _unavailable,
    body_errors.BadRequest: lambda fault: (ERROR, [f"the input cannot be read: {fault.what}"]),
    body_errors.TooLarge: lambda fault: (ERROR, [f"the input is larger than {fault.limit} bytes"]),
    body_errors.UnsupportedMedia: lambda fault: (ERROR, [f"cannot read {fault.media_type!r}"]),
    body_errors.NotAnObject: lambda fault: (ERROR, [f"expected an object, but got {fault.kind}"]),
    errors.Failure: _plain(ERROR, "the directory refuses"),
    OSError: _system,
}


def speak(fault: Exception) -> tuple[int, list[str]] | None:
    """Return the exit code and the lines for a fact; None for what is no fact but a bug."""
    if isinstance(fault, BrokenPipeError):
        return None  # whoever read our output has gone; click ends us quietly
    for ancestor in type(fault).__mro__:
        if ancestor in TABLE:
            return TABLE[ancestor](fault)
    return None


def tell(lines: Iterable[str]) -> None:
    """Say something on standard error, without anything that a terminal would obey."""
    for line in lines:
        click.echo(plain(line), err=True)


def plain(text: str) -> str:
    """Return a text with every character that does not print written as its code."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
