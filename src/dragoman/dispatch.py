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
from dragoman.web.responses import complete
from dragoman.web.routing import Way

OWN = frozenset({"/healthz", "/readyz", "/.well-known/jwks.json"})
"""What a host of a single contract serves besides it."""
ALMOST = frozenset({b"content_length", b"transfer_encoding"})
"""Some servers take an underscore for a hyphen."""
NOWHERE = "/:"
"""A path that no contract documents: it is answered with the contract's own 404."""


class Served(msgspec.Struct, frozen=True):
    """A contract's application, the paths that its document names, and what answers them.

    ``scheme`` is the word before its credentials.
    """

    app: Any
    documented: re.Pattern[str]
    scheme: str = ""
    ways: tuple[Way, ...] = ()

    def way(self, path: str) -> Way | None:
        """Return what answers a path, with or without its trailing slash; None: nothing."""
        bare = path.rstrip("/") or "/"
        return next((way for way in self.ways if way.pattern.match(bare)), None)


class Door:
    """The first thing a request meets.

    Args:
        own: the directory's own paths (health, figures) and its life cycle.
        contracts: the served contracts, in the order of the settings.
        hosts: names of hosts that serve one contract alone.
        issuer: tells at which contract a credential works now (empty: at none).
    """

    def __init__(
        self,
        own: ASGIApp,
        contracts: Mapping[str, Served],
        hosts: Mapping[str, str],
        issuer: Callable[[str], Awaitable[str]],
    ) -> None:
        self._own = own
        self._contracts = contracts
        self._documenting = [(name, it.documented.match) for name, it in contracts.items()]
        self._hosts = hosts
        self._issuer = issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to whoever answers it."""
        if scope["type"] != "http":
            await self._own(scope, receive, send)
            return
        if ambiguous(scope):
            refusal = Response(None, 400, {"Connection": "close"})
            complete(refusal.raw_headers)
            await refusal(scope, receive, send)
            return
        path: str = scope["path"]
        if not path.startswith("/"):  # OPTIONS *: no path of anybody's
            path = NOWHERE
            scope = {**scope, "path": path}
        if self._hosts and (name := self._hosts.get(_host_of(scope))) is not None:
            app, scope = self._by_host(self._contracts[name], scope)
        else:
            prefix = path[1:].partition("/")[0]
            served = self._contracts.get(prefix)
            if served is not None:
                path += "/" if path == f"/{prefix}" else ""
                app, scope = served.app, {**scope, "path": path, "root_path": f"/{prefix}"}
            else:
                found = [name for name, match in self._documenting if match(path)]
                if len(found) > 1:
                    app = await self._at_root(scope, path, found)
                else:
                    app = self._contracts[found[0]].app if found else self._own
        await app(scope, receive, send)

    def _by_host(self, served: Served, scope: Scope) -> tuple[ASGIApp, Scope]:
        path = scope["path"]
        if path in OWN:
            return self._own, scope
        if served.documented.match(path) is None:
            scope = {**scope, "path": NOWHERE}
        return served.app, scope

    async def _at_root(self, scope: Scope, path: str, found: Sequence[str]) -> ASGIApp:
        """Return who answers a path that several document: whoever issued the credential.

        Where no valid one is presented, the first in the order of the settings that documents
        path and method (decision 13). A path that one contract writes out is
        no other's parameter.
        """
        ways = {name: way for name in found if (way := self._contracts[name].way(path))}
        if any(way.literal for way in ways.values()):
            ways = {name: way for name, way in ways.items() if way.literal}
        if len(ways) > 1 and (issuer := await self._issuer_of(scope, ways)):
            return self._contracts[issuer].app
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        by_method = (name for name, way in ways.items() if method in way.methods)
        return self._contracts[next(by_method, next(iter(ways), found[0]))].app

    async def _issuer_of(self, scope: Scope, ways: Mapping[str, Way]) -> str:
        given = headers.values(scope, b"authorization")
        words = given[0].split() if len(given) == 1 else []
        if len(words) != 2:
            return ""
        schemes = {name: self._contracts[name].scheme.lower() for name in ways}
        if words[0].lower() not in schemes.values():
            return ""
        try:
            issuer = await self._issuer(words[1])
        except Unavailable:  # whoever answers meets it again, and says so
            return ""
        return issuer if schemes.get(issuer) == words[0].lower() else ""


def ambiguous(scope: Scope) -> bool:
    """Say whether another server could read this message as another one (RFC 9112, 11.2).

    It could where a coding of transfer is not ``chunked``, once, and where a header is named
    almost as one of those that tell where a message ends (6.1); with two hosts (3.2);
    and where what follows is to be a tunnel. Lengths that contradict each other are Granian's to
    refuse. Of a length beside chunks nothing is left for us to see, whichever comes first: Granian
    drops the length, reads the chunks, and closes the connection after the answer (6.3).
    """
    hosts = codings = 0
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings += 1
            if value.lower() != b"chunked":
                return True
        elif name in ALMOST:
            return True
    return hosts > 1 or codings > 1 or scope["method"] == "CONNECT"


def _host_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1").lower()
            bare, closed, _ = host.partition("]")
            return bare + closed if closed else host.partition(":")[0].removesuffix(".")
    return ""
