"""Cross-origin requests: the CORS protocol of the Fetch standard, for the origins in the settings.

Starlette's CORSMiddleware allows the same methods for every path and answers preflights of unknown
paths; here a preflight names the methods that the contracts document for its path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman.web import headers
from dragoman.web.metrics import CountedApp, RequestCounter
from dragoman.web.responses import add_security_headers

ALLOWED_HEADERS = "Authorization, Content-Type, X-Request-Id"
EXPOSED_HEADERS = (
    b"Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, "
    b"WWW-Authenticate, Location"
)
MAX_AGE_S = 600
"""How long browsers may cache the answer to a preflight (seconds)."""

FindMethods = Callable[[Scope], Collection[str] | None]


class CorsMiddleware:
    """Lets pages of the allowed origins call the contracts; cookies are never allowed.

    Args:
        app: the application.
        origins: the allowed origins, as browsers send them.
        find_methods: returns the documented methods of a request's path, none if there is no such
            path, or None if pages of other origins must not read it.
        counter: counts the preflights.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Collection[str],
        find_methods: FindMethods,
        counter: RequestCounter,
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._find_methods = find_methods
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or pass the request on and add the headers to its response."""
        methods = self._find_methods(scope) if scope["type"] == "http" else None
        if methods is None:
            await self._app(scope, receive, send)
            return
        origin = self._allowed_origin(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_response_headers(origin)]
            await send(message)

        if origin and methods and is_preflight(scope):
            answer = CountedApp(_preflight_response(methods), self._counter)
            await answer(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _allowed_origin(self, scope: Scope) -> str:
        values = headers.getlist(scope, b"origin")
        return values[0] if len(values) == 1 and values[0] in self._origins else ""


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks with this request whether it may send another one."""
    requested = headers.getlist(scope, b"access-control-request-method")
    return scope["method"] == "OPTIONS" and bool(requested)


def _response_headers(origin: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of every response; caches must keep those of other origins apart."""
    vary = (b"vary", b"Origin")
    if not origin:
        return [vary]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", EXPOSED_HEADERS),
        vary,
    ]


def _preflight_response(methods: Collection[str]) -> Response:
    response = Response(
        None,
        204,
        {
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        },
    )
    add_security_headers(response.raw_headers)
    return response
