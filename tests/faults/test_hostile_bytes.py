"""Bytes on a connection that are hardly HTTP: refused or cut off, never a 5xx, and nobody waits."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.support.processes import environment
from tests.support.server import Server

QUIET_S = 0.3
LOGIN = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
RAW = {
    "nothing": b"",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "NUL in the path": b"GET /api/v1/users/\x00/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "%00 in the path": b"GET /api/v1/users/%00/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "no UTF-8 in the path": b"GET /api/v1/users/%ff%fe/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /api/v1/\xff\xfe/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "broken escape": b"GET /api/v1/users/%zz/%/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long path": b"GET /api/v1/" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 600_000 + b"\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 2000 + b"\r\n",
    "no host": b"GET /api/v1/users/ HTTP/1.1\r\n\r\n",
    "HTTP/1.0": b"GET /api/v1/users/ HTTP/1.0\r\n\r\n",
    "a whole address": b"GET http://other.test/api/v1/users/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"BREW /api/v1/users/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": LOGIN + b"Content-Length: -1\r\n\r\n{}",
    "both lengths": LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a broken chunk": LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "less than announced": LOGIN + b"Content-Length: 100\r\n\r\n{}",
    "upgrade": b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "half a request": b"GET /api/v1/users/ HTT",
    "ten at once": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 10,
}


@pytest.mark.faults
@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
def test_bytes_on_a_connection(database: str, tmp_path: Path) -> None:
    """A refusal or a closed connection, never a 5xx; and others are served all the while."""
    server = Server(environment(database), tmp_path, "--workers", "1")
    server.start()
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(50)]
    try:
        for connection in held:  # they began to speak, and never go on
            connection.sendall(b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Le")
        wrong: list[str] = []
        for what, sent in RAW.items():
            got = _exchange(server.port, sent)
            statuses = {line[9:10] for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.")}
            if b"5" in statuses:
                wrong.append(f"{what}: {got[:300]!r}")
            assert httpx.get(f"{server.url}/healthz", timeout=5).status_code == 200, what
        assert wrong == []
        assert '"bug"' not in server.output()
        assert "Traceback" not in server.output(), server.output()
        for connection in held:
            connection.close()
        server.stop()
    finally:
        for connection in held:
            connection.close()
        server.kill()


def _exchange(port: int, sent: bytes) -> bytes:
    """Send bytes on a connection of their own; return what comes back until nothing more does."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=QUIET_S) as connection:
        try:
            connection.sendall(sent)
            while piece := connection.recv(65_536):
                got += piece
        except OSError:
            return got
    return got
