"""Dispatcher: passes each request to a contract, by host, by path prefix or by credential."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.rules.errors import Unavailable
from dragoman.web import docs, headers, unread_bodies
from dragoman.web.headers import HOST_SCOPE_KEY
from dragoman.web.metrics import CountedApp, RequestCounter
from dragoman.web.responses import add_security_headers
from dragoman.web.routing import RouteInfo

SHARED_PATHS = frozenset({"/healthz", "/readyz", "/.well-known/jwks.json"})
"""Shared paths that a host of a single contract serves too."""
SMUGGLING_HEADERS = frozenset({b"content_length", b"transfer_encoding"})
"""Some servers read an underscore as a hyphen, and so find another end of the message."""
FRAMING_HEADERS = frozenset({b"host", b"content-length", b"transfer-encoding", *SMUGGLING_HEADERS})
SAME_ORIGIN_PREFIXES = frozenset({"account", "console"})
"""First segments of the paths of pages for people, which no other origin may read."""
METRICS_PATH = "/metrics"
"""Never served below a sub-path: there, every proxy would pass it on to the world."""
UNDOCUMENTED_PATH = "/:"
"""A path that no contract has: the contract answers it with its own 404."""


class MountedContract(msgspec.Struct, frozen=True):
    """A contract that the dispatcher serves.

    Attributes:
        app: its ASGI application.
        documented_paths: matches its paths at the root of the server.
        scheme: the scheme of its Authorization header.
        routes: its routes, in order.
    """

    app: Any
    documented_paths: re.Pattern[str]
    scheme: str = ""
    routes: tuple[RouteInfo, ...] = ()

    def find_route(self, path: str) -> RouteInfo | None:
        """Return the first route that matches a path, with or without a trailing slash, or None."""
        bare_path = path.rstrip("/") or "/"
        return next((route for route in self.routes if route.pattern.match(bare_path)), None)


class ContractDispatcher:
    """The outermost ASGI application.

    Args:
        shared_app: serves the shared paths (health, metrics) and the lifespan.
        contracts: the served contracts by name, in the order of the settings.
        hosts: host names that serve a single contract → that contract.
        find_issuer: returns the contract at which a credential is valid now, or "".
        counter: counts the requests that no contract answers.
        sub_path: the path of the public URL if proxies may pass it on (see ``removable_sub_path``).
    """

    def __init__(
        self,
        shared_app: ASGIApp,
        contracts: Mapping[str, MountedContract],
        hosts: Mapping[str, str],
        find_issuer: Callable[[str], Awaitable[str]],
        counter: RequestCounter,
        sub_path: str = "",
    ) -> None:
        self._shared_app = CountedApp(shared_app, counter)
        self._refuse_ambiguous = CountedApp(refuse_ambiguous, counter)
        self._contracts = contracts
        self._path_matchers = [
            (name, contract.documented_paths.match) for name, contract in contracts.items()
        ]
        self._hosts = hosts
        self._find_issuer = find_issuer
        self._sub_path = sub_path

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request to the application that answers it.

        Not a coroutine itself: one more would cost every request a measurable part of its time.
        """
        if scope["type"] != "http":
            return self._shared_app(scope, receive, send)
        has_body, is_ambiguous = read_framing(scope)
        app = self._refuse_ambiguous if is_ambiguous else self._dispatch
        if has_body:
            return unread_bodies.answer(app, scope, receive, send)
        return app(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        candidates, scope = self._candidates(scope)
        if len(candidates) > 1:
            app = await self._route_at_root(scope, candidates)
        else:
            app = self._contracts[candidates[0]].app if candidates else self._shared_app
        await app(scope, receive, send)

    def cross_origin_methods(self, scope: Scope) -> frozenset[str] | None:
        """Return the documented methods of a request's path, whichever contract will answer it.

        None if pages of other origins must not read the path: it is a page for people.
        """
        candidates, scope = self._candidates(scope)
        path = scope["path"]
        if not candidates:
            prefix = _first_segment(path)
            return None if prefix in SAME_ORIGIN_PREFIXES else frozenset({"GET", "HEAD"})
        names = list(self._eligible_routes(path, candidates)) if len(candidates) > 1 else candidates
        methods = {
            method
            for name in names
            for method in self._contracts[name].app.methods_at(path, scope.get("root_path", ""))
        }
        return frozenset(methods | {"HEAD"} if "GET" in methods else methods)

    def _candidates(self, scope: Scope) -> tuple[list[str], Scope]:
        """Return the contracts that could answer a request, and its scope as they see it.

        If there are none, the shared application answers.
        """
        path: str = scope["path"]
        if not path.startswith("/"):  # OPTIONS *
            path = UNDOCUMENTED_PATH
            scope = {**scope, "path": path}
        if self._hosts and (name := self._hosts.get(host := _host_name(scope))) is not None:
            if path in SHARED_PATHS:
                return [], scope
            is_documented = self._contracts[name].documented_paths.match(path) is not None
            if not is_documented and path.removesuffix("/") not in docs.PATHS:
                path = UNDOCUMENTED_PATH
            return [name], {**scope, "path": path, HOST_SCOPE_KEY: host}
        if self._sub_path and (inner_path := self._without_sub_path(path)) != path:
            path = inner_path
            scope = {**scope, "path": path}
        prefix = _first_segment(path)
        if prefix in self._contracts:
            path += "/" if path == f"/{prefix}" else ""
            return [prefix], {**scope, "path": path, "root_path": f"/{prefix}"}
        return [name for name, match in self._path_matchers if match(path)], scope

    def _without_sub_path(self, path: str) -> str:
        """Return a path without the sub-path, which is removed once, whoever removes it."""
        inner_path = path.removeprefix(self._sub_path)
        if inner_path in {path, METRICS_PATH} or inner_path[:1] not in {"", "/"}:
            return path
        return inner_path or "/"

    async def _route_at_root(self, scope: Scope, candidates: Sequence[str]) -> ASGIApp:
        """Return the application for a path that several contracts document (decision 0013).

        It is the contract that issued the presented credential. Without a valid one, it is the
        first in the order of the settings that documents path and method.
        """
        routes = self._eligible_routes(scope["path"], candidates)
        if len(routes) > 1 and (issuer := await self._issuer_for(scope, routes)):
            return self._contracts[issuer].app
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        by_method = (name for name, route in routes.items() if method in route.methods)
        return self._contracts[next(by_method, next(iter(routes), candidates[0]))].app

    def _eligible_routes(self, path: str, candidates: Sequence[str]) -> dict[str, RouteInfo]:
        """Return the routes that match a path; a literal one takes precedence over parameters."""
        routes = {
            name: route for name in candidates if (route := self._contracts[name].find_route(path))
        }
        if any(route.literal for route in routes.values()):
            routes = {name: route for name, route in routes.items() if route.literal}
        return routes

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
        except Unavailable:  # the contract that answers will find out as well
            return ""
        return issuer if schemes.get(issuer) == parts[0].lower() else ""


def removable_sub_path(public_url: str, contracts: Mapping[str, MountedContract]) -> str:
    """Return the path of the public URL if it can be told from the server's own paths, else "".

    A request below it can then be answered whether a proxy has removed it or not. Below a path
    like ``/api``, ``/api/users`` might be either, so there the proxy has to remove it.
    """
    sub_path = unquote(urlsplit(public_url).path)
    routes = [route for contract in contracts.values() for route in contract.routes]
    shared_paths = {*SHARED_PATHS, METRICS_PATH}
    own_names = {*contracts, *SAME_ORIGIN_PREFIXES}
    own_names |= {_first_segment(path) for path in (*shared_paths, *(r.path for r in routes))}
    is_documented = any(
        contract.documented_paths.match(sub_path + route.path)
        for contract in contracts.values()
        for route in routes
    )
    return "" if is_documented or _first_segment(sub_path) in own_names else sub_path


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


async def refuse_ambiguous(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a message that another server could parse differently, and close its connection."""
    response = Response(None, 400, {"Connection": "close"})
    add_security_headers(response.raw_headers)
    await response(scope, receive, send)


def read_framing(scope: Scope) -> tuple[bool, bool]:
    """Return whether a message has a body, and whether its framing or host is ambiguous.

    Another server could parse a message differently (RFC 9112, section 11.2) with a transfer
    coding other than a single ``chunked``, a header name that resembles those of message framing
    (6.1), two hosts, or none in HTTP/1.1 (3.2), and with CONNECT.
    Granian passes a missing host on as an empty one. It rejects contradictory lengths itself. If
    a message has both a length and chunks, it drops the length, reads the chunks and closes the
    connection after the response (6.3), so the length cannot be seen here.
    """
    hosts = transfer_encodings = 0
    has_body = is_ambiguous = False
    for name, value in scope["headers"]:
        if name not in FRAMING_HEADERS:
            continue
        if name == b"host":
            hosts += 1
            is_ambiguous = is_ambiguous or (not value and scope.get("http_version") == "1.1")
        elif name == b"content-length":
            has_body = value != b"0"
        elif name == b"transfer-encoding":
            transfer_encodings += 1
            has_body = True
            is_ambiguous = is_ambiguous or value.lower() != b"chunked"
        else:
            is_ambiguous = True
    if hosts > 1 or transfer_encodings > 1 or scope["method"] == "CONNECT":
        is_ambiguous = True
    return has_body, is_ambiguous


def _host_name(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1").lower()
            before_bracket, bracket, _ = host.partition("]")
            return before_bracket + bracket if bracket else host.partition(":")[0].removesuffix(".")
    return ""
