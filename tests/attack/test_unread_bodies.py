"""Refused requests with bodies on a real server: every client sees its answer."""

from __future__ import annotations

import http.client
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.raw_http import send_raw, statuses_of
from tests.support.server import Server
from tests.support.user_requests import SIGN_INS
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite]

PAIRS, CLIENTS = 1000, 8
REFUSED = {
    "no credential": ("PUT", "/api/v1/users/1/", 401),
    "no path": ("POST", "/nowhere", 404),
    "no method": ("PUT", "/vsay/auth/login", 405),
}
FOUR_MEGABYTES = 4 * 1024 * 1024


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_body_leaves_a_connection_that_works(
    attacked_server: tuple[Server, World], kind: str
) -> None:
    """A thousand refused bodies and as many good requests over kept connections: none fails."""
    server, world = attacked_server
    method, path, status = REFUSED[kind]
    good = {"Authorization": f"Token {world.people['mia'].token}"}

    def run(number: int) -> Counter[object]:
        outcomes: Counter[object] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for turn in range(PAIRS // CLIENTS):
            body = b'{"bio": "%s"}' % (b"x" * (1 + 977 * ((number + turn) % 60)))
            for ask in (
                (method, path, body, {"Content-Type": "application/json"}),
                ("GET", "/api/v1/auth/user/", None, good),
            ):
                try:
                    connection.request(ask[0], ask[1], body=ask[2], headers=ask[3])
                    response = connection.getresponse()
                    response.read()
                    outcomes[response.status] += 1
                    outcomes["closed"] += response.will_close
                except (OSError, http.client.HTTPException) as error:
                    outcomes[type(error).__name__] += 1
                    connection.close()
        connection.close()
        return outcomes

    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = sum(pool.map(run, range(CLIENTS)), Counter[object]())
    assert +outcomes == Counter({status: PAIRS, 200: PAIRS})


@pytest.mark.parametrize("name", SIGN_INS)
def test_a_client_that_sends_too_much_sees_the_refusal(
    attacked_server: tuple[Server, World], name: str
) -> None:
    """Four megabytes are sent to their end, and only then the connection closes."""
    path, _ = SIGN_INS[name]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {FOUR_MEGABYTES}\r\n\r\n"
    received = b""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", attacked_server[0].port), timeout=20) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
            client.sendall(head.encode() + b" " * FOUR_MEGABYTES)
            while piece := client.recv(65_536):
                received += piece
    assert statuses_of(received) == (413,) * 3
    assert received.lower().count(b"connection: close") == 3


def test_http_1_0_need_not_name_a_host(attacked_server: tuple[Server, World]) -> None:
    """Unlike HTTP/1.1: RFC 9112, section 3.2."""
    answer = send_raw(attacked_server[0].port, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.statuses == (200,)
