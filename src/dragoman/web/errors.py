"""Errors become responses: a contract's table of renderers, and what all such tables share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.responses import Response

from dragoman.rules import errors
from dragoman.rules.errors import Problem
from dragoman.web.calls import Call, ErrorHandler

ErrorRenderer = Callable[[Call, Any], Response]

Messages = Mapping[str, str | Callable[[Any], str]]
"""A contract's message for each problem code; a function gets the problem's detail.

A key ``field.code`` ("email.taken") takes precedence over the code alone.
"""


def error_handler(table: Mapping[type[Exception], ErrorRenderer]) -> ErrorHandler:
    """Return a handler that renders an error by the first of its class's ancestors in the table.

    The table must contain Exception, which renders bugs of this server.
    """

    def handle_error(call: Call, error: Exception) -> Response:
        for error_class in type(error).__mro__:
            if error_class in table:
                return table[error_class](call, error)
        return table[Exception](call, error)

    return handle_error


def message_for(problem: Problem, messages: Messages) -> str:
    """Return a contract's message for a problem. Raises KeyError if there is none."""
    template = messages.get(f"{problem.field}.{problem.code}") or messages[problem.code]
    return template if isinstance(template, str) else template(problem.detail)


def messages_by_field(
    problems: Iterable[Problem], messages: Messages, field_names: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the distinct messages for each field.

    ``field_names`` maps the directory's field names to the contract's, where they differ.
    """
    by_field: dict[str, list[str]] = {}
    for problem in problems:
        field_messages = by_field.setdefault(field_names.get(problem.field, problem.field), [])
        # Only the first unknown id of a list is reported: a body full of unknown ids would
        # otherwise get a response of megabytes.
        if field_messages and problem.code == "unknown":
            continue
        if (message := message_for(problem, messages)) not in field_messages:
            field_messages.append(message)
    return by_field


def taken_as_invalid(error: errors.Taken) -> errors.Invalid:
    """Return the same error as a problem of the field, for contracts that report it as one."""
    return errors.Invalid(Problem(error.field, "taken"))


def error_headers(error: Exception) -> dict[str, str]:
    """Return the headers that HTTP requires with an error (RFC 9110, 10.2.1 and 10.2.3)."""
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        return {"Retry-After": str(error.retry_after)}
    return {}


class MethodNotAllowed(errors.DirectoryError):
    """The path does not support this method; ``allowed`` are the methods that it supports."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed
