"""Thousands of connections: of one client they are ended, of many they cost bounded memory."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from dragoman.cli.server import connections, serve
from tests.support.processes import environment, wait_for, workers
from tests.support.raw_http import resident_memory, statuses_of
from tests.support.server import Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.sqlite,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers what this needs"),
]

PER_ADDRESS, KEEP_ALIVE_S = 60, 3
FLOOD = 5200
UNFINISHED = 2000
SIZE = 30_000
PER_CONNECTION = 64 * 1024
"""What a connection with unfinished headers may cost (bytes)."""
LEFT = 32 * 1024 * 1024
BEGUN = b"GET / HTTP/1.1\r\nX: "
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(real_hashes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with short limits."""
    folder: Path = tmp_path_factory.mktemp("connections")
    settings = environment(f"sqlite:///{folder}/dragoman.db") | {
        "DRAGOMAN_CONNECTIONS_PER_ADDRESS": str(PER_ADDRESS),
        "DRAGOMAN_KEEP_ALIVE": str(KEEP_ALIVE_S),
    }
    server = Server(settings, folder, "--workers", "1")
    server.start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


def connect(port: int, source: str) -> socket.socket:
    """Begin to connect from an address of this machine, without waiting."""
    client = socket.socket()
    client.bind((source, 0))
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def seconds_until_closed(port: int, sent: bytes, then: bytes = b"") -> tuple[float, bytes]:
    """Send something, then something every half second; return when it was closed, and what came."""
    received, began = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        while time.monotonic() - began < serve.HEADER_TIMEOUT_S + 10:
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
            sent = then
            try:
                piece = client.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not piece:
                break
            received += piece
    return time.monotonic() - began, received


def test_a_flood_from_one_address_leaves_the_server_to_others(server: Server) -> None:
    """More silent connections than a worker holds: those of others are accepted within seconds."""
    source = "127.0.0.9"
    with contextlib.ExitStack() as stack:
        for _ in range(FLOOD):
            stack.enter_context(connect(server.port, source))
        network = connections.network_of(connections.address_of(source))
        for _ in range(3):
            began = time.monotonic()
            assert httpx.get(f"{server.url}/healthz", timeout=10).status_code == 200
            assert time.monotonic() - began < 5

        def is_bounded() -> bool:
            return connections.connections_by_network(server.port)[network] <= PER_ADDRESS

        assert wait_for(is_bounded, 10)
        with socket.socket() as late:
            late.bind((source, 0))
            late.settimeout(0.5)
            with pytest.raises(TimeoutError):
                late.connect(("127.0.0.1", server.port))
    assert '"event":"address_full"' in server.output()


def test_unfinished_headers_cost_bounded_memory_that_is_given_back(server: Server) -> None:
    (worker,) = workers(server)

    def attack() -> int:
        with contextlib.ExitStack() as stack:
            for number in range(UNFINISHED):
                source = f"127.0.{1 + number // PER_ADDRESS}.1"
                client = stack.enter_context(socket.socket())
                client.bind((source, 0))
                client.connect(("127.0.0.1", server.port))
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * SIZE)
            time.sleep(0.5)
            return resident_memory(worker)

    attack()  # what is allocated once is no growth
    before = resident_memory(worker)
    held = attack()
    assert held - before < UNFINISHED * PER_CONNECTION

    def is_given_back() -> bool:
        httpx.get(f"{server.url}/healthz", timeout=10)
        return resident_memory(worker) - before < LEFT

    assert wait_for(is_given_back, 15), (before, held, resident_memory(worker))


def test_how_long_connections_stay_open(server: Server) -> None:
    """Idle ones for the keep-alive, headers that have begun for twenty seconds."""
    kinds = (
        (b"", b"", KEEP_ALIVE_S),
        (REQUEST, b"", KEEP_ALIVE_S),
        (BEGUN, b"", serve.HEADER_TIMEOUT_S),
        (REQUEST + BEGUN, b"y", serve.HEADER_TIMEOUT_S),
    )
    with ThreadPoolExecutor(len(kinds)) as pool:
        ends = pool.map(lambda kind: seconds_until_closed(server.port, *kind[:2]), kinds)
    for (sent, _, allowed), (waited, received) in zip(kinds, ends, strict=True):
        assert allowed - 0.5 <= waited < allowed + 4, sent
        assert statuses_of(received) == (200,) * sent.count(REQUEST)
    with httpx.Client() as client:
        ports: set[object] = set()
        for _ in range(KEEP_ALIVE_S + 2):
            answered = client.get(f"{server.url}/healthz", timeout=10)
            ports.add(answered.extensions["network_stream"].get_extra_info("client_addr"))
            time.sleep(1)
        assert len(ports) == 1, "a connection in use was closed"
