"""What answers have in common: JSON made without a detour, and the headers that all of them carry."""

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
"""What every answer carries, unless it says otherwise itself."""

_encode = msgspec.json.Encoder().encode


class MsgspecResponse(Response):
    """An answer whose body is ``body`` as JSON: structs, dicts, lists and what they hold.

    Args:
        status: the HTTP status.
        body: what to encode.
        headers: further ones.
        media_type: what the body is called (``application/json``).
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
    """Add what every answer carries to the headers of one."""
    if headers and headers[-1] is SECURITY_HEADERS[-1]:  # most are made with them
        return
    present = [name for name, _ in headers]
    headers += [header for header in SECURITY_HEADERS if header[0] not in present]


class SecurityHeadersMiddleware:
    """An ASGI application whose answers are completed (those of contracts do it themselves)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as the application does."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = list(message["headers"])
                add_security_headers(message["headers"])
            await send(message)

        await self._app(scope, receive, send_with_headers)
