"""Which dialect answers: by host, by prefix, or at the root by who documents the path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

OWN = frozenset({"/healthz", "/readyz", "/.well-known/jwks.json"})
"""What a host of a single contract serves besides it."""
NOWHERE = "/:"
"""A path that no contract documents: it is answered with the contract's own 404."""


class Served(msgspec.Struct, frozen=True):
    """A contract's application and the paths that its document names."""

    app: Any
    documented: re.Pattern[str]


class Door:
    """The first thing a request meets.

    Args:
        own: the directory's own paths (health, figures) and its life cycle.
        contracts: the served contracts, in the order of the settings.
        hosts: names of hosts that serve one contract alone.
    """

    def __init__(
        self, own: ASGIApp, contracts: Mapping[str, Served], hosts: Mapping[str, str]
    ) -> None:
        self._own = own
        self._contracts = contracts
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to whoever answers it."""
        if scope["type"] != "http":
            await self._own(scope, receive, send)
            return
        app, scope = self._choose(scope)
        await app(scope, receive, send)

    def _choose(self, scope: Scope) -> tuple[ASGIApp, Scope]:
        path: str = scope["path"]
        if not path.startswith("/"):  # OPTIONS *, CONNECT: no path of anybody's
            path = NOWHERE
            scope = {**scope, "path": path}
        if self._hosts and (name := self._hosts.get(_host_of(scope))) is not None:
            if path in OWN:
                return self._own, scope
            served = self._contracts[name]
            if served.documented.match(path) is None:
                scope = {**scope, "path": NOWHERE}
            return served.app, scope
        prefix = path[1:].partition("/")[0]
        served = self._contracts.get(prefix)
        if served is not None:
            if path == f"/{prefix}":
                path += "/"
            return served.app, {**scope, "path": path, "root_path": f"/{prefix}"}
        for served in self._contracts.values():
            if served.documented.match(path):
                return served.app, scope
        return self._own, scope


def _host_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1").lower()
            bare, closed, _ = host.partition("]")
            return bare + closed if closed else host.partition(":")[0].removesuffix(".")
    return ""
