"""Bodies that were not read when the answer is sent: discarded, or the connection closes."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman.web import unread_bodies

pytestmark = pytest.mark.anyio

CLOSE = (b"connection", b"close")
SIZE = 1000


class Connection:
    """What a server passes on of one request, and what it is given to send."""

    def __init__(
        self, *headers: tuple[bytes, bytes], chunks: int = 3, stalls: bool = False
    ) -> None:
        self.scope = {"type": "http", "method": "PUT", "path": "/", "headers": list(headers)}
        self.remaining = chunks
        self.stalls = stalls
        self.received = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.remaining == 0 and self.stalls:
            await asyncio.sleep(60)
        self.remaining -= 1
        self.received += SIZE
        return {"type": "http.request", "body": b"x" * SIZE, "more_body": self.remaining != 0}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def answer(self, app: ASGIApp) -> bool:
        """Let an application answer; return whether it said that the connection closes."""
        await unread_bodies.answer(app, self.scope, self.receive, self.send)
        return CLOSE in self.sent[0]["headers"]


def application(reads: int) -> ASGIApp:
    """Return an application that reads so many chunks and then refuses the request."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(reads):
            await receive()
        await send({"type": "http.response.start", "status": 401, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"no"})

    return app


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


async def test_a_short_body_that_nobody_read_is_discarded_after_the_answer() -> None:
    connection = Connection(length(3 * SIZE))
    assert not await connection.answer(application(reads=0))
    assert connection.received == 3 * SIZE


async def test_a_body_that_was_read_changes_nothing() -> None:
    connection = Connection(length(3 * SIZE))
    assert not await connection.answer(application(reads=3))
    assert connection.received == 3 * SIZE


@pytest.mark.parametrize(
    "header",
    [
        length(unread_bodies.SHORT_BODY_BYTES + 1),
        length(10**20),
        (b"content-length", b"+1"),
        (b"transfer-encoding", b"chunked"),
    ],
    ids=str,
)
async def test_a_long_body_closes_the_connection_after_it_was_discarded(
    header: tuple[bytes, bytes],
) -> None:
    connection = Connection(header)
    assert await connection.answer(application(reads=0))
    assert connection.received == 3 * SIZE


async def test_a_body_that_was_given_up_closes_the_connection() -> None:
    connection = Connection(length(3 * SIZE))
    assert await connection.answer(application(reads=1))
    assert connection.received == 3 * SIZE


async def test_a_client_that_waits_is_not_asked_for_its_body() -> None:
    """RFC 9110, section 10.1.1: the server has answered, so the body may never come."""
    connection = Connection(length(10), (b"expect", b"100-continue"))
    assert await connection.answer(application(reads=0))
    assert connection.received == 0


async def test_an_endless_body_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARD_MAX_BYTES", 5 * SIZE)
    connection = Connection((b"transfer-encoding", b"chunked"), chunks=-1)
    assert await connection.answer(application(reads=0))
    assert connection.received == 6 * SIZE


async def test_a_body_that_stalls_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARD_S", 0.05)
    connection = Connection((b"transfer-encoding", b"chunked"), chunks=0, stalls=True)
    assert await connection.answer(application(reads=0))
    assert connection.received == 0
