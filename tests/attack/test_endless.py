"""Bodies and headers without an end: refused and closed at a bound, and nothing is kept of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dragoman.web import bodies
from tests.attack.sockets import Poured, memory, pour, say
from tests.dialects.test_every_door import SIGN_INS
from tests.faults.processes import workers
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite]

MEGABYTE = 1024 * 1024
MOST = 64 * MEGABYTE
"""Nobody listens so long; less may stand in the buffers of the machine between the two."""
SECONDS = 12.0
"""Less than the deadline: it must be the size that ends it."""
AT_ONCE = 16
GROWTH = 32 * MEGABYTE
"""What all of them together may leave behind."""

LOGIN = "/api/v1/auth/login/"
CHUNKS = b"Transfer-Encoding: chunked"
GIGABYTES = b"Content-Length: 50000000000"


def begun(path: str, *headers: bytes, method: bytes = b"POST", kind: bytes = b"json") -> bytes:
    """Return the beginning of a request whose headers go on."""
    first = method + b" " + path.encode() + b" HTTP/1.1"
    lines = (first, b"Host: x", b"Content-Type: application/" + kind, *headers)
    return b"\r\n".join(lines) + b"\r\n"


def headed(path: str, *headers: bytes, method: bytes = b"POST", kind: bytes = b"json") -> bytes:
    """Return the head of a request whose body comes."""
    return begun(path, *headers, method=method, kind=kind) + b"\r\n"


def chunk(size: int) -> bytes:
    """Return a chunk of so many bytes."""
    return b"%x\r\n" % size + b" " * size + b"\r\n"


STREAMS: dict[str, tuple[bytes, bytes, set[int]]] = {
    **{
        f"chunks at {name}": (headed(path, CHUNKS), chunk(16_384), {413})
        for name, (path, _) in SIGN_INS.items()
    },
    "chunks of a byte": (headed(LOGIN, CHUNKS), chunk(1) * 4096, {400}),
    "one chunk": (headed(LOGIN, CHUNKS) + b"f" * 16 + b"\r\n", b" " * 16_384, {413}),
    "gigabytes announced": (headed(LOGIN, GIGABYTES), b" " * 16_384, {413}),
    "a form": (
        headed("/wekan/users/login", CHUNKS, kind=b"x-www-form-urlencoded"),
        b"1000\r\n" + b"a=b&" * 1024 + b"\r\n",
        {413},
    ),
    "a body that nobody wants": (
        headed("/api/v1/users/", CHUNKS, method=b"GET"),
        chunk(16_384),
        {401},
    ),
    "a body at no path": (headed("/nowhere", CHUNKS), chunk(16_384), {404}),
    "a body at a page": (headed("/reset/x/y", CHUNKS), chunk(16_384), {404, 413}),
    "headers": (begun(LOGIN), b"X: y\r\n" * 1000, {431}),
    "a header": (begun(LOGIN) + b"X: ", b"y" * 16_384, {431}),
    "a path": (b"GET /", b"a" * 16_384, {414, 431}),
    "a method": (b"", b"A" * 16_384, {400, 431}),
    "extensions of a chunk": (headed(LOGIN, CHUNKS) + b"2;", b"a" * 16_384, {400, 413}),
    "trailers": (headed(LOGIN, CHUNKS) + b"0\r\n", b"X: y\r\n" * 1000, {400, 413}),
}
"""How each begins, how it goes on for ever, and what may be said to it."""


def test_nothing_is_heard_to_its_end(attacked: tuple[Server, World]) -> None:
    """Each is ended by its size, in the contract's words or the server's, and leaves nothing."""
    server, _ = attacked
    assert SECONDS < bodies.DEADLINE_S

    def poured(stream: str) -> Poured:
        begins, goes_on, _ = STREAMS[stream]
        return pour(server.port, begins, goes_on, most=MOST, seconds=SECONDS)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(poured, STREAMS))  # what is imported late is no growth
        before = memory(workers(server)[0])
        ends = dict(zip(STREAMS, pool.map(poured, STREAMS), strict=True))
    wrong = {
        stream: end
        for stream, end in ends.items()
        if end.sent >= MOST
        or end.seconds >= SECONDS
        or not set(end.statuses) <= STREAMS[stream][2]
        or len(end.statuses) > 1
    }
    assert wrong == {}
    assert memory(workers(server)[0]) - before < GROWTH
    assert httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200


@pytest.mark.parametrize("name", SIGN_INS)
def test_a_giant_body_is_refused_before_it_is_sent(
    attacked: tuple[Server, World], name: str
) -> None:
    """By its announced length alone; nobody is told to go on (RFC 9110, 10.1.1)."""
    path, _ = SIGN_INS[name]
    for more in ((), (b"Expect: 100-continue",)):
        heard = say(attacked[0].port, headed(path, GIGABYTES, *more))
        assert heard.statuses == (413,), heard
        assert heard.closed


def test_the_largest_body_that_is_taken(attacked: tuple[Server, World]) -> None:
    """A byte more is too large, however it comes."""
    server, _ = attacked
    for size, status in ((bodies.LIMIT, 400), (bodies.LIMIT + 1, 413)):
        body = b" " * size
        json = {"Content-Type": "application/json"}
        plain = httpx.post(server.url + LOGIN, content=body, headers=json, timeout=10)
        pieces = httpx.post(
            server.url + LOGIN, content=iter([body[:99], body[99:]]), headers=json, timeout=10
        )
        assert [plain.status_code, pieces.status_code] == [status, status]
