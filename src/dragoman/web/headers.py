"""A request's headers as they came in: names in lower case, in order (ASGI 3.0, HTTP)."""

from __future__ import annotations

from starlette.types import Scope


def getlist(scope: Scope, name: bytes) -> list[str]:
    """Return the values of every line of a header, in order; ``name`` is in lower case."""
    return [
        value.decode("latin-1") for header_name, value in scope["headers"] if header_name == name
    ]
