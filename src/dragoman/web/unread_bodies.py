"""What happens to a request's body that was not read when the answer is sent.

A server that answers before it has read the body, and then closes the connection, resets it: the
client fails while it still sends, and never sees the answer. So the rest is read and discarded
after the answer, for a bounded while. A short body nobody read leaves the connection usable;
otherwise the answer says ``Connection: close`` (RFC 9112, sections 9.3 and 9.6).
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHORT_BODY_BYTES = 256 * 1024
"""A body of at most this length that nobody read does not end its connection (bytes)."""
DISCARD_MAX_BYTES = 8 * 1024 * 1024
"""Maximum number of bytes that are discarded after an answer."""
DISCARD_S = 4.0
"""Maximum time for which they are discarded (seconds)."""
MAX_LENGTH_DIGITS = 15
CONNECTION_CLOSE = (b"connection", b"close")


class BodyReader:
    """Passes one request's messages on and remembers how much of its body was read.

    Args:
        scope: the request's ASGI scope; its headers announce a body.
        receive: the server's ``receive``.
        send: the server's ``send``.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._begun = self._complete = False
        self._keeps_connection = False

    async def receive(self) -> Message:
        """Return the next message from the client."""
        self._begun = True
        message = await self._receive()
        if not message.get("more_body", False):  # the end of the body, or of the connection
            self._complete = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message; the first one says whether the connection closes."""
        if message["type"] == "http.response.start" and not self._complete:
            self._keeps_connection = not self._begun and _is_short(self._scope)
            if not self._keeps_connection:
                headers = [h for h in message["headers"] if h[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, CONNECTION_CLOSE]}
        await self._send(message)

    async def discard_rest(self) -> None:
        """Read and discard what is left of the body, within the bounds.

        A client that waits for ``100 Continue`` has not sent its body, and must not be asked to.
        """
        if self._complete or (not self._begun and _expects_continue(self._scope)):
            return
        size = 0
        try:
            async with asyncio.timeout(DISCARD_S):
                while not self._complete and size <= DISCARD_MAX_BYTES:
                    size += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass  # the server closes the connection


async def answer(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let an application answer a request that has a body, then discard what it did not read.

    Args:
        app: the application that answers.
        scope: the request's ASGI scope.
        receive: the server's ``receive``.
        send: the server's ``send``.
    """
    reader = BodyReader(scope, receive, send)
    await app(scope, reader.receive, reader.send)
    await reader.discard_rest()


def _is_short(scope: Scope) -> bool:
    """Return whether the announced length is short, and the body is on its way already."""
    length = _header(scope, b"content-length")
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        return False
    return int(length) <= SHORT_BODY_BYTES and not _expects_continue(scope)


def _expects_continue(scope: Scope) -> bool:
    return bool(_header(scope, b"expect"))


def _header(scope: Scope, name: bytes) -> bytes:
    headers: list[tuple[bytes, bytes]] | Any = scope["headers"]
    return next((value for header, value in headers if header == name), b"")
