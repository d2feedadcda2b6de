"""A contract's routes, matched with and without a trailing slash."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.web.metrics import CountedApp, RequestCounter
from dragoman.web.resource import NotFoundResource, Resource
from dragoman.web.responses import SecurityHeadersMiddleware


class RouteInfo(msgspec.Struct, frozen=True):
    """A route of a contract, as the dispatcher needs it.

    Attributes:
        path: the path, with its parameters in braces.
        pattern: matches the path without prefix and trailing slash.
        literal: the path has no parameters.
        methods: the supported methods.
    """

    path: str
    pattern: re.Pattern[str]
    literal: bool
    methods: tuple[str, ...]


class ContractApp:
    """A contract as an ASGI application; the first route that matches the path answers.

    Sets ``route`` and ``path_params`` in the scope, like Starlette's router.

    Args:
        routes: the documented paths, the most requested ones first.
        not_found: answers all other paths with the contract's error.
    """

    def __init__(self, routes: Iterable[Route], not_found: NotFoundResource) -> None:
        self.routes = tuple(routes)
        self._table = [
            (_compile_pattern(route), route, _endpoint_app(route, not_found.request_counter))
            for route in self.routes
        ]
        self._not_found = not_found

    @property
    def route_infos(self) -> tuple[RouteInfo, ...]:
        """The routes that resources answer, in order."""
        return tuple(
            RouteInfo(route.path, pattern, not route.param_convertors, app.methods)
            for pattern, route, app in self._table
            if isinstance(app, Resource)
        )

    def methods_at(self, path: str, root_path: str) -> tuple[str, ...]:
        """Return the documented methods of a path, none if there is no such path."""
        relative_path = _relative_path(path, root_path)
        for pattern, route, app in self._table:
            if pattern.match(relative_path):
                return app.methods if isinstance(app, Resource) else tuple(route.methods or ())
        return ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        relative_path = scope["path"].removeprefix(scope["root_path"])
        if relative_path[-1:] == "/" != relative_path:
            relative_path = relative_path[:-1]
        for pattern, route, app in self._table:
            if matched := pattern.match(relative_path):
                scope["path_params"] = matched.groupdict()
                scope["route"] = route
                await app(scope, receive, send)
                return
        await self._not_found(scope, receive, send)


def _relative_path(path: str, root_path: str) -> str:
    """Return a path without the contract's prefix and without a trailing slash."""
    relative_path = path.removeprefix(root_path)
    if len(relative_path) > 1 and relative_path.endswith("/"):
        return relative_path[:-1]
    return relative_path


def _endpoint_app(route: Route, counter: RequestCounter) -> ASGIApp:
    """Return the application of a route: its resource, or Starlette's own handling of a function."""
    if isinstance(route.endpoint, Resource):
        return route.endpoint
    return CountedApp(SecurityHeadersMiddleware(route.handle), counter)


def _compile_pattern(route: Route) -> re.Pattern[str]:
    """Return the pattern of a route: a whole path, in which parameters may contain line breaks."""
    return re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
