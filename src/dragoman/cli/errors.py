"""Terminal messages and exit codes of all errors."""

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
    """An error of the command line itself, with its exit code and message lines."""

    def __init__(self, exit_code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.exit_code = exit_code
        self.lines = list(lines)


ErrorRenderer = Callable[[Any], tuple[int, list[str]]]

PROBLEM_MESSAGES: Mapping[str, str | Callable[[Any], str]] = {
    "required": "required",
    "blank": "must not be empty",
    "null": "must not be null",
    "not_string": "must be a string",
    "not_boolean": "must be true or false",
    "not_integer": "must be an integer",
    "not_list": "must be a list",
    "too_long": lambda limit: f"must be at most {limit} characters",
    "too_short": lambda limit: f"must be at least {limit} characters",
    "weak": lambda detail: (
        f"must be at least {detail} characters for this role"
        if isinstance(detail, int)
        else f"must not be the {detail} for this role"
    ),
    "too_many_bytes": lambda limit: f"must be at most {limit} bytes",
    "email": "not a valid e-mail address",
    "url": "not a valid http or https URL",
    "slug": "may contain only ASCII letters, digits, - and _",
    "username": "may contain only letters, digits and @ . + - _",
    "unsafe": "contains control characters, invisible characters or mixed scripts",
    "choice": lambda value: f"{value!r} is not a valid choice",
    "unknown": lambda value: f"id {value} not found",
    "taken": "already in use",
    "not_own_email": "is the e-mail address of somebody else",
    "common": "too common",
    "numeric": "must not consist of digits only",
    "similar": lambda field: f"too similar to the {str(field).replace('_', ' ')}",
    "mismatch": "does not match its confirmation",
    "wrong": "incorrect",
    "tenant_required": "required for this role",
    "foreign_tenant": "belongs to another tenant",
    "fixed": "cannot be changed",
    "invalid": "not valid",
}

REASON_MESSAGES: Mapping[Reason, str] = {
    Reason.FUNCTION: "this action is not allowed",
    Reason.REACH: "this action is not allowed for this user",
    Reason.RANK: "the user has a higher role",
    Reason.OWN_ACCOUNT: "this action is not allowed on your own account",
    Reason.POWER: "the user has rights that you do not have",
    Reason.DELEGATION: "you cannot assign rights that you do not have",
    Reason.SIGN_UP_DISABLED: "self-registration is disabled (DRAGOMAN_SELF_REGISTRATION)",
}

UNAVAILABLE_MESSAGES: Mapping[str, str] = {
    "database": "the database is unavailable",
    "hashing": "too many passwords are waiting to be hashed",
    "signing key": "the signing key was encrypted with another server key "
    "(restore it, or if it is lost run 'dragoman keys adopt')",
    "server key": "the server key is not the one of this database "
    "(restore it, or if it is lost run 'dragoman keys adopt')",
    "ledger of erasures": "nobody was erased: the ledger of erasures cannot be written "
    "(see DRAGOMAN_ERASURES)",
}


def problem_message(problem: Problem) -> str:
    """Return the message for a problem, as ``field: message``."""
    message = PROBLEM_MESSAGES[problem.code]
    return f"{problem.field}: {message if isinstance(message, str) else message(problem.detail)}"


def _invalid(error: errors.Invalid) -> tuple[int, list[str]]:
    all_taken = all(problem.code == "taken" for problem in error.problems)
    lines = list(dict.fromkeys(problem_message(problem) for problem in error.problems))
    return CONFLICT if all_taken and lines else ERROR, lines or ["invalid input"]


def _unavailable(error: errors.Unavailable) -> tuple[int, list[str]]:
    message = UNAVAILABLE_MESSAGES.get(str(error), f"{error} is unavailable")
    cause = error.__cause__
    reason = str(cause).splitlines()[0] if cause is not None and str(cause) else ""
    if cause is not None and not reason:
        reason = "timed out" if isinstance(cause, TimeoutError) else type(cause).__name__
    return ERROR, [f"{message}: {reason}" if reason else message]


def _os_error(error: OSError) -> tuple[int, list[str]]:
    prefix = f"{error.filename}: " if error.filename else ""
    return ERROR, [f"{prefix}{error.strerror or error}"]


def _fixed_message(exit_code: int, text: str) -> ErrorRenderer:
    return lambda _: (exit_code, [text])


ERROR_RENDERERS: Mapping[type[Exception], ErrorRenderer] = {
    CliError: lambda error: (error.exit_code, error.lines),
    SettingsError: lambda error: (ERROR, error.lines),
    errors.NotFound: _fixed_message(NOT_FOUND, "not found"),
    errors.Taken: lambda error: _invalid(errors.Invalid(Problem(error.field, "taken"))),
    errors.Invalid: _invalid,
    errors.Forbidden: lambda error: (ERROR, [REASON_MESSAGES[error.reason]]),
    errors.Unauthenticated: _fixed_message(ERROR, "invalid credential"),
    errors.Unchanged: lambda error: (CONFLICT, [f"{error.field}: already has this value"]),
    errors.Inactive: _fixed_message(ERROR, "the user is inactive (run 'dragoman users activate')"),
    errors.BadCredentials: _fixed_message(ERROR, "incorrect username or password"),
    errors.InvalidLink: _fixed_message(ERROR, "the link is invalid, expired or already used"),
    errors.RateLimited: lambda error: (
        ERROR,
        [f"too many requests; try again in {error.retry_after} seconds"],
    ),
    errors.LastOwner: _fixed_message(CONFLICT, "cannot remove the last active owner of the tenant"),
    errors.LastSuperadmin: _fixed_message(CONFLICT, "cannot remove the last active superadmin"),
    errors.InUse: _fixed_message(CONFLICT, "still in use"),
    errors.WeakPassword: _fixed_message(
        CONFLICT, "the user needs a longer password first (run 'dragoman users set-password')"
    ),
    errors.NoTenant: _fixed_message(
        ERROR, "the user belongs to no tenant, but this role requires one"
    ),
    errors.Unavailable: _unavailable,
    errors.UnsupportedDatabase: lambda error: (ERROR, [str(error)]),
    body_errors.BadRequest: lambda error: (ERROR, [f"invalid input: {error.message}"]),
    body_errors.TooLarge: lambda error: (ERROR, [f"input larger than {error.limit} bytes"]),
    body_errors.UnsupportedMedia: lambda error: (
        ERROR,
        [f"unsupported media type {error.media_type!r}"],
    ),
    body_errors.NotAnObject: lambda error: (
        ERROR,
        [f"expected an object, got {error.type_name}"],
    ),
    errors.DirectoryError: _fixed_message(ERROR, "request refused"),
    OSError: _os_error,
}


def describe(error: Exception) -> tuple[int, list[str]] | None:
    """Return the exit code and the message lines for an error; None for an unexpected exception."""
    if isinstance(error, BrokenPipeError):
        return None  # the reader of our output has exited, as in `| head`; click exits silently
    for ancestor in type(error).__mro__:
        if ancestor in ERROR_RENDERERS:
            return ERROR_RENDERERS[ancestor](error)
    return None


def echo(lines: Iterable[str]) -> None:
    """Write lines to standard error, with control characters escaped."""
    for line in lines:
        click.echo(escape_unprintable(line), err=True)


def escape_unprintable(text: str) -> str:
    """Return the text with every unprintable character replaced by its escape sequence."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
