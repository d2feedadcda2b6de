"""Which dialect answers: by host, by prefix, or at the root by who documents the path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.rules.errors import Unavailable
from dragoman.web import headers
from dragoman.web.responses import add_security_headers
from dragoman.web.routing import RouteInfo

SHARED_PATHS = frozenset({"/healthz", "/readyz", "/.well-known/jwks.json"})
"""What a host of a single contract serves besides it."""
SMUGGLING_HEADERS = frozenset({b"content_length", b"transfer_encoding"})
"""Some servers take an underscore for a hyphen."""
UNDOCUMENTED_PATH = "/:"
"""A path that no contract documents: it is answered with the contract's own 404."""


class MountedContract(msgspec.Struct, frozen=True):
    """A contract's application, the paths that its document names, and what answers them.

    ``scheme`` is the word before its credentials.
    """

    app: Any
    documented_paths: re.Pattern[str]
    scheme: str = ""
    routes: tuple[RouteInfo, ...] = ()

    def find_route(self, path: str) -> RouteInfo | None:
        """Return what answers a path, with or without its trailing slash; None: nothing."""
        bare_path = path.rstrip("/") or "/"
        return next((route for route in self.routes if route.pattern.match(bare_path)), None)


class ContractDispatcher:
    """The first thing a request meets.

    Args:
        own: the directory's own paths (health, figures) and its life cycle.
        contracts: the served contracts, in the order of the settings.
        hosts: names of hosts that serve one contract alone.
        issuer: tells at which contract a credential works now (empty: at none).
    """

    def __init__(
        self,
        shared_app: ASGIApp,
        contracts: Mapping[str, MountedContract],
        hosts: Mapping[str, str],
        find_issuer: Callable[[str], Awaitable[str]],
    ) -> None:
        self._shared_app = shared_app
        self._contracts = contracts
        self._path_matchers = [
            (name, contract.documented_paths.match) for name, contract in contracts.items()
        ]
        self._hosts = hosts
        self._find_issuer = find_issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to whoever answers it."""
        if scope["type"] != "http":
            await self._shared_app(scope, receive, send)
            return
        if has_ambiguous_framing(scope):
            response = Response(None, 400, {"Connection": "close"})
            add_security_headers(response.raw_headers)
            await response(scope, receive, send)
            return
        path: str = scope["path"]
        if not path.startswith("/"):  # OPTIONS *: no path of anybody's
            path = UNDOCUMENTED_PATH
            scope = {**scope, "path": path}
        if self._hosts and (name := self._hosts.get(_host_name(scope))) is not None:
            app, scope = self._route_by_host(self._contracts[name], scope)
        else:
            prefix = path[1:].partition("/")[0]
            mounted = self._contracts.get(prefix)
            if mounted is not None:
                path += "/" if path == f"/{prefix}" else ""
                app, scope = mounted.app, {**scope, "path": path, "root_path": f"/{prefix}"}
            else:
                candidates = [name for name, match in self._path_matchers if match(path)]
                if len(candidates) > 1:
                    app = await self._route_at_root(scope, path, candidates)
                else:
                    app = self._contracts[candidates[0]].app if candidates else self._shared_app
        await app(scope, receive, send)

    def _route_by_host(self, mounted: MountedContract, scope: Scope) -> tuple[ASGIApp, Scope]:
        path = scope["path"]
        if path in SHARED_PATHS:
            return self._shared_app, scope
        if mounted.documented_paths.match(path) is None:
            scope = {**scope, "path": UNDOCUMENTED_PATH}
        return mounted.app, scope

    async def _route_at_root(self, scope: Scope, path: str, candidates: Sequence[str]) -> ASGIApp:
        """Return who answers a path that several document: whoever issued the credential.

        Where no valid one is presented, the first in the order of the settings that documents
        path and method (decision 13). A path that one contract writes out is
        no other's parameter.
        """
        routes = {
            name: route for name in candidates if (route := self._contracts[name].find_route(path))
        }
        if any(route.literal for route in routes.values()):
            routes = {name: route for name, route in routes.items() if route.literal}
        if len(routes) > 1 and (issuer := await self._issuer_for(scope, routes)):
            return self._contracts[issuer].app
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        by_method = (name for name, route in routes.items() if method in route.methods)
        return self._contracts[next(by_method, next(iter(routes), candidates[0]))].app

    async def _issuer_for(self, scope: Scope, routes: Mapping[str, RouteInfo]) -> str:
        header_values = headers.getlist(scope, b"authorization")
        parts = header_values[0].split() if len(header_values) == 1 else []
        if len(parts) != 2:
            return ""
        schemes = {name: self._contracts[name].scheme.lower() for name in routes}
        if parts[0].lower() not in schemes.values():
            return ""
        try:
            issuer = await self._find_issuer(parts[1])
        except Unavailable:  # whoever answers meets it again, and says so
            return ""
        return issuer if schemes.get(issuer) == parts[0].lower() else ""


def has_ambiguous_framing(scope: Scope) -> bool:
    """Say whether another server could read this message as another one (RFC 9112, 11.2).

    It could where a coding of transfer is not ``chunked``, once, and where a header is named
    almost as one of those that tell where a message ends (6.1); with two hosts (3.2);
    and where what follows is to be a tunnel. Lengths that contradict each other are Granian's to
    refuse. Of a length beside chunks nothing is left for us to see, whichever comes first: Granian
    drops the length, reads the chunks, and closes the connection after the answer (6.3).
    """
    hosts = transfer_encodings = 0
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            transfer_encodings += 1
            if value.lower() != b"chunked":
                return True
        elif name in SMUGGLING_HEADERS:
            return True
    return hosts > 1 or transfer_encodings > 1 or scope["method"] == "CONNECT"


def _host_name(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1").lower()
            before_bracket, bracket, _ = host.partition("]")
            return before_bracket + bracket if bracket else host.partition(":")[0].removesuffix(".")
    return ""
