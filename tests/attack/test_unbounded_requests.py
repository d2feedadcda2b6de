"""Bodies and headers without an end: refused and closed at a bound, and nothing is kept of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dragoman.web import bodies
from tests.support.processes import workers
from tests.support.raw_http import StreamResult, resident_memory, send_raw, stream_endlessly
from tests.support.server import Server
from tests.support.user_requests import SIGN_INS
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite]

MEGABYTE = 1024 * 1024
MAX_BYTES = 64 * MEGABYTE
"""Nobody listens so long; less may stand in the buffers of the machine between the two."""
SECONDS = 12.0
"""Less than the deadline: it must be the size that ends it."""
AT_ONCE = 16
GROWTH = 32 * MEGABYTE
"""What all of them together may leave behind."""

LOGIN = "/api/v1/auth/login/"
CHUNKS = b"Transfer-Encoding: chunked"
GIGABYTES = b"Content-Length: 50000000000"


def request_start(
    path: str, *headers: bytes, method: bytes = b"POST", media_subtype: bytes = b"json"
) -> bytes:
    """Return the beginning of a request whose headers go on."""
    first = method + b" " + path.encode() + b" HTTP/1.1"
    lines = (first, b"Host: x", b"Content-Type: application/" + media_subtype, *headers)
    return b"\r\n".join(lines) + b"\r\n"


def request_head(
    path: str, *headers: bytes, method: bytes = b"POST", media_subtype: bytes = b"json"
) -> bytes:
    """Return the head of a request whose body comes."""
    return request_start(path, *headers, method=method, media_subtype=media_subtype) + b"\r\n"


def chunk(size: int) -> bytes:
    """Return a chunk of so many bytes."""
    return b"%x\r\n" % size + b" " * size + b"\r\n"


STREAMS: dict[str, tuple[bytes, bytes, set[int]]] = {
    **{
        f"chunks at {name}": (request_head(path, CHUNKS), chunk(16_384), {413})
        for name, (path, _) in SIGN_INS.items()
    },
    "chunks of a byte": (request_head(LOGIN, CHUNKS), chunk(1) * 4096, {400}),
    "one chunk": (request_head(LOGIN, CHUNKS) + b"f" * 16 + b"\r\n", b" " * 16_384, {413}),
    "gigabytes announced": (request_head(LOGIN, GIGABYTES), b" " * 16_384, {413}),
    "a form": (
        request_head("/wekan/users/login", CHUNKS, media_subtype=b"x-www-form-urlencoded"),
        b"1000\r\n" + b"a=b&" * 1024 + b"\r\n",
        {413},
    ),
    "a body that nobody wants": (
        request_head("/api/v1/users/", CHUNKS, method=b"GET"),
        chunk(16_384),
        {401},
    ),
    "a body at no path": (request_head("/nowhere", CHUNKS), chunk(16_384), {404}),
    "a body at a page": (request_head("/reset/x/y", CHUNKS), chunk(16_384), {404, 413}),
    "headers": (request_start(LOGIN), b"X: y\r\n" * 1000, {431}),
    "a header": (request_start(LOGIN) + b"X: ", b"y" * 16_384, {431}),
    "a path": (b"GET /", b"a" * 16_384, {414, 431}),
    "a method": (b"", b"A" * 16_384, {400, 431}),
    "extensions of a chunk": (request_head(LOGIN, CHUNKS) + b"2;", b"a" * 16_384, {400, 413}),
    "trailers": (request_head(LOGIN, CHUNKS) + b"0\r\n", b"X: y\r\n" * 1000, {400, 413}),
}
"""How each begins, how it goes on for ever, and what may be said to it."""


def test_nothing_is_heard_to_its_end(attacked_server: tuple[Server, World]) -> None:
    """Each is ended by its size, in the contract's words or the server's, and leaves nothing."""
    server, _ = attacked_server
    assert SECONDS < bodies.BODY_TIMEOUT_S

    def poured(stream: str) -> StreamResult:
        begins, goes_on, _ = STREAMS[stream]
        return stream_endlessly(server.port, begins, goes_on, max_bytes=MAX_BYTES, seconds=SECONDS)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(poured, STREAMS))  # what is imported late is no growth
        before = resident_memory(workers(server)[0])
        ends = dict(zip(STREAMS, pool.map(poured, STREAMS), strict=True))
    wrong = {
        stream: end
        for stream, end in ends.items()
        if end.sent >= MAX_BYTES
        or end.seconds >= SECONDS
        or not set(end.statuses) <= STREAMS[stream][2]
        or len(end.statuses) > 1
    }
    assert wrong == {}
    assert resident_memory(workers(server)[0]) - before < GROWTH
    assert httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200


@pytest.mark.parametrize("name", SIGN_INS)
def test_a_giant_body_is_refused_before_it_is_sent(
    attacked_server: tuple[Server, World], name: str
) -> None:
    """By its announced length alone; nobody is told to go on (RFC 9110, 10.1.1)."""
    path, _ = SIGN_INS[name]
    for more in ((), (b"Expect: 100-continue",)):
        response = send_raw(attacked_server[0].port, request_head(path, GIGABYTES, *more))
        assert response.statuses == (413,), response
        assert response.closed


def test_the_largest_body_that_is_taken(attacked_server: tuple[Server, World]) -> None:
    """A byte more is too large, however it comes."""
    server, _ = attacked_server
    for size, status in ((bodies.MAX_BODY_BYTES, 400), (bodies.MAX_BODY_BYTES + 1, 413)):
        body = b" " * size
        json = {"Content-Type": "application/json"}
        plain = httpx.post(server.url + LOGIN, content=body, headers=json, timeout=10)
        pieces = httpx.post(
            server.url + LOGIN, content=iter([body[:99], body[99:]]), headers=json, timeout=10
        )
        assert [plain.status_code, pieces.status_code] == [status, status]
