"""Request headers, read from the ASGI scope: names are in lower case, lines in order."""

from __future__ import annotations

from starlette.types import Scope

HOST_SCOPE_KEY = "contract_host"
"""Key of the scope under which the dispatcher leaves the host name that selected the contract."""


def getlist(scope: Scope, name: bytes) -> list[str]:
    """Return the values of all lines of a header, in order; ``name`` is in lower case."""
    return [
        value.decode("latin-1") for header_name, value in scope["headers"] if header_name == name
    ]
