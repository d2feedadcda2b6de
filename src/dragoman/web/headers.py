"""Request headers, read from the ASGI scope: names are in lower case, lines in order."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

HOST_SCOPE_KEY = "contract_host"
"""Key of the scope under which the dispatcher leaves the host name that selected the contract."""


def getlist(scope: Scope, name: bytes) -> list[str]:
    """Return the values of all lines of a header, in order; ``name`` is in lower case."""
    return [
        value.decode("latin-1") for header_name, value in scope["headers"] if header_name == name
    ]


def url_on_host(public_url: str, host: str) -> str:
    """Return the public URL; on a host of a single contract, its scheme and port with that host.

    Args:
        public_url: the public URL of the settings.
        host: what the dispatcher left in the scope: a name of the settings, or "".
    """
    if not host:
        return public_url
    parts = urlsplit(public_url)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
