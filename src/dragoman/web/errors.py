"""Facts become answers: a dialect's table, looked up along the class's ancestors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from dragoman.rules.errors import Failure
from dragoman.web.calls import Call, Voice

Speak = Callable[[Call, Any], Response]


def voices(table: Mapping[type[Exception], Speak]) -> Voice:
    """Return the voice of a table; it must say something for Exception, which is our bug."""

    def voice(call: Call, fault: Exception) -> Response:
        for ancestor in type(fault).__mro__:
            if ancestor in table:
                return table[ancestor](call, fault)
        return table[Exception](call, fault)

    return voice


class MethodNotAllowed(Failure):
    """This path has no such method; ``allowed`` are those that it has."""

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(method)
        self.method = method
        self.allowed = allowed
