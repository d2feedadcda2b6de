"""Every fact in the terminal's words, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import rich_click as click

from dragoman.rules import errors
from dragoman.rules.errors import Problem, Reason
from dragoman.settings import SettingsError
from dragoman.web import body_errors

ERROR, USAGE, NOT_FOUND, CONFLICT, PARTIAL = 1, 2, 3, 4, 5


class CliError(Exception):
    """What only the command line can say: its exit code and its lines."""

    def __init__(self, exit_code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = exit_code
        self.lines = list(lines)


ErrorRenderer = Callable[[Any], tuple[int, list[str]]]

PROBLEM_MESSAGES: Mapping[str, str | Callable[[Any], str]] = {
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

REASON_MESSAGES: Mapping[Reason, str] = {
    Reason.FUNCTION: "this may not be done",
    Reason.REACH: "this may not be done to that user",
    Reason.RANK: "that user stands higher",
    Reason.OWN_ACCOUNT: "nobody does this to the own account",
    Reason.DELEGATION: "nobody confers more than the own rights",
    Reason.SIGN_UP_DISABLED: "self-registration is off (DRAGOMAN_SELF_REGISTRATION)",
}

UNAVAILABLE_MESSAGES: Mapping[str, str] = {
    "database": "the database cannot serve now",
    "hashing": "too many passwords wait to be hashed",
    "signing key": "another server's key sealed the signing key ('dragoman keys rotate' makes one)",
}


def problem_message(problem: Problem) -> str:
    """Return one line that says what is wrong with a field."""
    message = PROBLEM_MESSAGES[problem.code]
    return f"{problem.field}: {message if isinstance(message, str) else message(problem.detail)}"


def _invalid(error: errors.Invalid) -> tuple[int, list[str]]:
    all_taken = all(problem.code == "taken" for problem in error.problems)
    lines = list(dict.fromkeys(problem_message(problem) for problem in error.problems))
    return CONFLICT if all_taken and lines else ERROR, lines or ["it is invalid"]


def _unavailable(error: errors.Unavailable) -> tuple[int, list[str]]:
    message = UNAVAILABLE_MESSAGES.get(str(error), f"the {error} cannot serve now")
    cause = error.__cause__
    reason = str(cause).splitlines()[0] if cause is not None and str(cause) else ""
    if cause is not None and not reason:
        reason = "no answer in time" if isinstance(cause, TimeoutError) else type(cause).__name__
    return ERROR, [f"{message}: {reason}" if reason else message]


def _os_error(error: OSError) -> tuple[int, list[str]]:
    prefix = f"{error.filename}: " if error.filename else ""
    return ERROR, [f"{prefix}{error.strerror or error}"]


def _fixed_message(exit_code: int, text: str) -> ErrorRenderer:
    return lambda _: (exit_code, [text])


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    CliError: lambda error: (error.exit_code, error.lines),
    SettingsError: lambda error: (ERROR, error.lines),
    errors.NotFound: _fixed_message(NOT_FOUND, "there is no such thing"),
    errors.Taken: lambda error: _invalid(errors.Invalid(Problem(error.field, "taken"))),
    errors.Invalid: _invalid,
    errors.Forbidden: lambda error: (ERROR, [REASON_MESSAGES[error.reason]]),
    errors.Unauthenticated: _fixed_message(ERROR, "the credential is not valid"),
    errors.Unchanged: lambda error: (CONFLICT, [f"{error.field}: is that already"]),
    errors.Inactive: _fixed_message(
        ERROR, "the user is switched off ('dragoman users activate' switches it on)"
    ),
    errors.BadCredentials: _fixed_message(ERROR, "no user has this name and this password"),
    errors.InvalidLink: _fixed_message(ERROR, "the secret is used, expired or unknown"),
    errors.RateLimited: lambda error: (
        ERROR,
        [f"too many of these; try again in {error.retry_after} seconds"],
    ),
    errors.LastOwner: _fixed_message(CONFLICT, "the tenant would lose its last active owner"),
    errors.LastSuperadmin: _fixed_message(
        CONFLICT, "the platform would lose its last active superadmin"
    ),
    errors.InUse: _fixed_message(CONFLICT, "it cannot go while others depend on it"),
    errors.NoTenant: _fixed_message(
        ERROR, "the user belongs to no tenant, and this role needs one"
    ),
    errors.Unavailable: _unavailable,
    body_errors.BadRequest: lambda error: (ERROR, [f"the input cannot be read: {error.message}"]),
    body_errors.TooLarge: lambda error: (ERROR, [f"the input is larger than {error.limit} bytes"]),
    body_errors.UnsupportedMedia: lambda error: (ERROR, [f"cannot read {error.media_type!r}"]),
    body_errors.NotAnObject: lambda error: (
        ERROR,
        [f"expected an object, but got {error.type_name}"],
    ),
    errors.DirectoryError: _fixed_message(ERROR, "the directory refuses"),
    OSError: _os_error,
}


def describe(error: Exception) -> tuple[int, list[str]] | None:
    """Return the exit code and the lines for a fact; None for what is no fact but a bug."""
    if isinstance(error, BrokenPipeError):
        return None  # whoever read our output has gone; click ends us quietly
    for ancestor in type(error).__mro__:
        if ancestor in ERROR_RENDERERS:
            return ERROR_RENDERERS[ancestor](error)
    return None


def echo(lines: Iterable[str]) -> None:
    """Say something on standard error, without anything that a terminal would obey."""
    for line in lines:
        click.echo(escape_unprintable(line), err=True)


def escape_unprintable(text: str) -> str:
    """Return a text with every character that does not print written as its code."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
