"""Responses: JSON encoded by msgspec, and the security headers of every response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every response that does not set them itself."""

_encode = msgspec.json.Encoder().encode


class MsgspecResponse(Response):
    """A response with a JSON body.

    Args:
        status: the HTTP status.
        body: the value to encode: structs, dicts, lists and their contents.
        headers: further headers.
        media_type: the media type of the body.
    """

    def __init__(
        self,
        status: int,
        body: Any,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        self.status_code = status
        self.media_type = media_type
        self.background = None
        self.body = _encode(body)
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", media_type.encode("latin-1")),
        ]
        if headers:
            self.raw_headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ]
        else:
            self.raw_headers += SECURITY_HEADERS


def add_security_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Add the security headers that are missing."""
    if headers and headers[-1] is SECURITY_HEADERS[-1]:  # a MsgspecResponse has them
        return
    present = [name for name, _ in headers]
    headers += [header for header in SECURITY_HEADERS if header[0] not in present]


class SecurityHeadersMiddleware:
    """Adds the security headers to the responses of an ASGI application (a Resource adds its own)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = list(message["headers"])
                add_security_headers(message["headers"])
            await send(message)

        await self._app(scope, receive, send_with_headers)
