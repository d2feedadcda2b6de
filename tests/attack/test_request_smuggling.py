"""Requests that two servers could read as different ones: refused once and closed, or plain.

What comes after each of them on the same connection is what would be smuggled. Sources: RFC 9112,
sections 2.2, 3.2, 5, 6.1, 6.3, 7.1 and 11.2.
"""

from __future__ import annotations

import pytest

from tests.support.raw_http import RawResponse, send_raw
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite]

HOST = b"Host: x\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""What would be smuggled: it has an answer of its own, after which the connection ends."""
LOGIN = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKS = b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


def chunked_request(header: bytes) -> bytes:
    """Return a request whose body is in chunks, if this header says so."""
    return LOGIN + header + CHUNKS + NEXT


def sized_request(headers: bytes) -> bytes:
    """Return a request whose body has two bytes, if these headers say so."""
    return LOGIN + headers + b"\r\n\r\n{}" + NEXT


def request_with_chunks(chunks: bytes) -> bytes:
    """Return a request with this body."""
    return LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + NEXT


def bodyless_request(*lines: bytes, first: bytes = b"GET /healthz HTTP/1.1") -> bytes:
    """Return a request without a body."""
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


REFUSED_REQUESTS = {
    "two lengths": sized_request(b"Content-Length: 2\r\nContent-Length: 3"),
    "a list of lengths": sized_request(b"Content-Length: 2, 3"),
    "a list of the same length": sized_request(b"Content-Length: 2, 2"),
    "a signed length": sized_request(b"Content-Length: +2"),
    "a negative length": sized_request(b"Content-Length: -2"),
    "a length in hex": sized_request(b"Content-Length: 0x2"),
    "a fractional length": sized_request(b"Content-Length: 2.0"),
    "an overflowing length": sized_request(b"Content-Length: 18446744073709551618"),
    "an empty length": sized_request(b"Content-Length: "),
    "almost a length": sized_request(b"Content_Length: 2"),
    "a space before a length's colon": sized_request(b"Content-Length : 2"),
    "an unknown coding": chunked_request(b"Transfer-Encoding: xchunked"),
    "no coding": chunked_request(b"Transfer-Encoding: identity"),
    "chunks, then no coding": chunked_request(b"Transfer-Encoding: chunked, identity"),
    "another coding in chunks": chunked_request(b"Transfer-Encoding: gzip, chunked"),
    "chunks in chunks": chunked_request(b"Transfer-Encoding: chunked, chunked"),
    "two codings": chunked_request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    "two codings, the other way": chunked_request(
        b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked"
    ),
    "chunks twice": chunked_request(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "a coding with a parameter": chunked_request(b"Transfer-Encoding: chunked;a=b"),
    "an empty element before it": chunked_request(b"Transfer-Encoding: ,chunked"),
    "an empty element after it": chunked_request(b"Transfer-Encoding: chunked,"),
    "a quoted coding": chunked_request(b'Transfer-Encoding: "chunked"'),
    "a coding after a vertical tab": chunked_request(b"Transfer-Encoding:\x0bchunked"),
    "a coding with a NUL": chunked_request(b"Transfer-Encoding: chun\x00ked"),
    "a coding on the next line": chunked_request(b"Transfer-Encoding:\r\n chunked"),
    "a space before the colon": chunked_request(b"Transfer-Encoding : chunked"),
    "a tab before the colon": chunked_request(b"Transfer-Encoding\t: chunked"),
    "a space before the name": chunked_request(b" Transfer-Encoding: chunked"),
    "almost a coding": chunked_request(b"Transfer_Encoding: chunked"),
    "a coding that ends in CR": chunked_request(b"Transfer-Encoding: chunked\r"),
    "chunks in HTTP/1.0": chunked_request(b"Transfer-Encoding: chunked").replace(
        b"HTTP/1.1", b"HTTP/1.0", 1
    ),
    "a negative chunk": request_with_chunks(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a signed chunk": request_with_chunks(b"+2\r\n{}\r\n0\r\n\r\n"),
    "a chunk of 0x2": request_with_chunks(b"0x2\r\n{}\r\n0\r\n\r\n"),
    "an overflowing chunk": request_with_chunks(b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "a longer overflowing chunk": request_with_chunks(b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk without a size": request_with_chunks(b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is no number": request_with_chunks(b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk that goes on": request_with_chunks(b"2\r\n{}}0\r\n\r\n"),
    "chunks with bare LF": request_with_chunks(b"2\n{}\n0\n\n"),
    "a bare LF in an extension": request_with_chunks(b"2;a\nb\r\n{}\r\n0\r\n\r\n"),
    "endless extensions": request_with_chunks(b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "endless trailers": request_with_chunks(b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
    "a bare CR": bodyless_request(b"Host: x\rX: y") + NEXT,
    "a line without a colon": bodyless_request(b"Host: x", b"rubbish") + NEXT,
    "a name with a space": bodyless_request(b"Host: x", b"X Y: z") + NEXT,
    "an empty name": bodyless_request(b"Host: x", b": z") + NEXT,
    "a folded header": bodyless_request(b"Host: x", b"X: a", b" b") + NEXT,
    "a NUL in a header": bodyless_request(b"Host: x", b"X: a\x00b") + NEXT,
    "a header before all": bodyless_request(b" X: y", b"Host: x") + NEXT,
    "two hosts": bodyless_request(b"Host: x", b"Host: y") + NEXT,
    "no host": bodyless_request(b"X: y") + NEXT,
    "an empty host": bodyless_request(b"Host:") + NEXT,
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/0.9, and more": b"GET /healthz\r\n\r\n" + NEXT,
    "HTTP/1.2": bodyless_request(HOST[:-2], first=b"GET /healthz HTTP/1.2"),
    "HTTP/2.0": bodyless_request(HOST[:-2], first=b"GET /healthz HTTP/2.0"),
    "HTTP/11": bodyless_request(HOST[:-2], first=b"GET /healthz HTTP/11"),
    "http/1.1": bodyless_request(HOST[:-2], first=b"GET /healthz http/1.1"),
    "tabs between the words": bodyless_request(HOST[:-2], first=b"GET\t/healthz\tHTTP/1.1"),
    "a space in the path": bodyless_request(HOST[:-2], first=b"GET /healthz x HTTP/1.1"),
    "no path": bodyless_request(HOST[:-2], first=b"GET HTTP/1.1"),
    "CONNECT": bodyless_request(HOST[:-2], first=b"CONNECT evil.test:443 HTTP/1.1") + NEXT,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,
    "10,000 headers": bodyless_request(b"Host: x", *(b"X-%d: 1" % n for n in range(10_000))),
    "a header of a megabyte": bodyless_request(b"Host: x", b"X: " + b"a" * 1_000_000),
    "a header of 200 KiB": bodyless_request(b"Host: x", b"X: " + b"a" * 200 * 1024),
    "a name of 200 KiB": bodyless_request(b"Host: x", b"a" * 200 * 1024 + b": x"),
    "a path of a megabyte": bodyless_request(
        HOST[:-2], first=b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1"
    ),
    "a path of 70 KB": bodyless_request(HOST[:-2], first=b"GET /" + b"a" * 70_000 + b" HTTP/1.1"),
    "a query of 70 KB": bodyless_request(
        HOST[:-2], first=b"GET /healthz?" + b"a" * 70_000 + b" HTTP/1.1"
    ),
    "a method of 200 KB": bodyless_request(HOST[:-2], first=b"A" * 200_000 + b" / HTTP/1.1"),
    "empty lines for ever": b"\r\n" * 100_000,
}


@pytest.mark.parametrize("shape", REFUSED_REQUESTS)
def test_it_is_refused_once_and_closed(attacked_server: tuple[Server, World], shape: str) -> None:
    """A 4xx, nothing after it, and what follows on the connection is never read."""
    response = send_raw(attacked_server[0].port, REFUSED_REQUESTS[shape])
    assert response.refused, (response.statuses, response.closed)


BODY = b'{"username": "mia", "password": "not-hers"}'
SIZE = b"%x" % len(BODY)
ONE = {
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "Chunks": b"Transfer-Encoding: Chunked\r\n\r\n" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an extension of a chunk": (
        b"Transfer-Encoding: chunked\r\n\r\n" + SIZE + b';a="b"\r\n' + BODY + b"\r\n0\r\n\r\n"
    ),
    "trailers that say otherwise": (
        b"Transfer-Encoding: chunked\r\n\r\n"
        + SIZE
        + b"\r\n"
        + BODY
        + b"\r\n0\r\nContent-Length: 99\r\nHost: evil\r\nTransfer-Encoding: gzip\r\n\r\n"
    ),
    "a length": b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "the same length twice": b"Content-Length: %d\r\n" % len(BODY)
    + b"Content-Length: %d\r\n\r\n" % len(BODY)
    + BODY,
    "a length with zeros": b"Content-Length: 000%d\r\n\r\n" % len(BODY) + BODY,
}


@pytest.mark.parametrize("shape", ONE)
def test_what_can_be_read_in_one_way_is_one_request(
    attacked_server: tuple[Server, World], shape: str
) -> None:
    """Its body is what it says, and the next request on the connection is the next request."""
    response = send_raw(attacked_server[0].port, LOGIN + ONE[shape] + NEXT)
    assert response.statuses == (400, 200), response
    assert b"Unable to log in" in response.text, "the body did not arrive"


CODED = b"Transfer-Encoding: chunked\r\n"
LENGTH_AND_CHUNKED = {
    "a length, then chunks": b"Content-Length: %d\r\n" + CODED,
    "chunks, then a length": CODED + b"Content-Length: %d\r\n",
}


@pytest.mark.parametrize("length", [0, 5, 9_999])
@pytest.mark.parametrize("shape", LENGTH_AND_CHUNKED)
def test_of_a_length_and_chunks_the_chunks_count_and_nothing_follows(
    attacked_server: tuple[Server, World], shape: str, length: int
) -> None:
    """RFC 9112, 6.3: the coding overrides the length, and the connection ends with the answer."""
    body = b'{"username": "%d %s", "password": "no"}' % (length, shape.encode())
    chunks = b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    response = send_raw(
        attacked_server[0].port, LOGIN + LENGTH_AND_CHUNKED[shape] % length + chunks + NEXT
    )
    assert response.statuses == (400,), response
    assert response.closed
    assert b"Unable to log in" in response.text, "the body did not arrive"


LINES = {
    "bare LF": bodyless_request(b"Host: x").replace(b"\r\n", b"\n"),
    "bare LF in the middle": b"GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "the address of another host": bodyless_request(
        b"Host: x", first=b"GET http://evil.test/healthz HTTP/1.1"
    ),
    "an upgrade to HTTP/2": bodyless_request(
        b"Host: x",
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        first=b"GET /healthz HTTP/1.1",
    ),
    "an upgrade to a websocket": bodyless_request(
        b"Host: x",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        first=b"GET /healthz HTTP/1.1",
    ),
}


@pytest.mark.parametrize("shape", LINES)
def test_what_the_standard_allows_is_answered_as_what_it_is(
    attacked_server: tuple[Server, World], shape: str
) -> None:
    """RFC 9112, 2.2 and 3.2.2; RFC 9110, 7.8: no tunnel, no other protocol, one answer each."""
    response = send_raw(attacked_server[0].port, LINES[shape] + NEXT)
    assert response.statuses == (200, 200), response
    assert not any(101 <= status < 200 for status in response.statuses)


def test_what_is_left_of_a_refused_body_is_no_request(
    attacked_server: tuple[Server, World],
) -> None:
    """A body that nobody reads holds a request; it stays a body, or the connection ends."""
    inside = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    for head in (
        b"GET /api/v1/users/ HTTP/1.1\r\n",
        b"GET /nowhere HTTP/1.1\r\n",
        b"BREW /api/v1/users/ HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n",
    ):
        length = b"Host: x\r\nContent-Length: %d\r\n\r\n" % len(inside)
        response = send_raw(attacked_server[0].port, head + length + inside + NEXT)
        assert response.statuses[1:] in {(), (200,)}, response
        assert b"This field is required" not in response.text


def test_the_prior_knowledge_of_http_2_is_no_request(attacked_server: tuple[Server, World]) -> None:
    response = send_raw(
        attacked_server[0].port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9 + NEXT
    )
    assert response == RawResponse((), closed=True)


def test_a_server_that_answers_what_is_smuggled_would_be_found_out() -> None:
    """The check itself: two answers, an open connection, a 5xx and a success are no refusal."""
    assert RawResponse((400,), closed=True).refused
    for wrong in (
        RawResponse((400, 200), closed=True),
        RawResponse((400,), closed=False),
        RawResponse((500,), closed=True),
        RawResponse((200,), closed=True),
        RawResponse((), closed=True),
    ):
        assert not wrong.refused, wrong
