"""Facts become answers: a dialect's table, looked up along the class's ancestors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from dragoman.rules.errors import DirectoryError
from dragoman.web.calls import Call, ErrorHandler

ErrorRenderer = Callable[[Call, Any], Response]


def error_handler(table: Mapping[type[Exception], ErrorRenderer]) -> ErrorHandler:
    """Return the voice of a table; it must say something for Exception, which is our bug."""

    def handle_error(call: Call, error: Exception) -> Response:
        for error_class in type(error).__mro__:
            if error_class in table:
                return table[error_class](call, error)
        return table[Exception](call, error)

    return handle_error


class MethodNotAllowed(DirectoryError):
    """This path has no such method; ``allowed`` are those that it has."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed
