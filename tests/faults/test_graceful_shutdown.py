"""SIGTERM under load: what was accepted is answered in full, then the server ends with status 0."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.faults import invariants, write_load
from tests.faults.write_load import API, Journal, WriteLoad
from tests.support.databases import ADMIN_PASSWORD, query
from tests.support.processes import environment, wait_for
from tests.support.server import Server

SIGN_INS = 16
CALLERS = 12
SOON_S = 0.04
END_S = 15.0
"""A server under load has ended after so many seconds."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_under_way_are_answered(database: str, tmp_path: Path, workers: int) -> None:
    """Whoever is in the middle of signing in when the signal comes gets the key, whole."""
    server = Server(environment(database), tmp_path, "--workers", str(workers))
    server.start()
    try:
        answers = asyncio.run(_sign_in_during_shutdown(server))
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * SIGN_INS
        keys = {json.loads(answer.partition(b"\r\n\r\n")[2])["key"] for answer in answers}
        assert len(keys) == SIGN_INS
        kept = asyncio.run(query(database, "SELECT count(*) FROM tokens"))
        assert kept[0][0] == SIGN_INS
    finally:
        server.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets us turn callers away")
@pytest.mark.parametrize("workers", [1, 2])
def test_who_has_just_connected_is_answered(database: str, tmp_path: Path, workers: int) -> None:
    """A caller that was let in before the signal and speaks after it, and who comes after it."""
    server = Server(environment(database), tmp_path, "--workers", str(workers))
    server.start()
    try:
        with contextlib.ExitStack() as stack:
            opened = [
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                for _ in range(CALLERS)
            ]
            assert server.process is not None
            server.process.send_signal(signal.SIGTERM)
            time.sleep(SOON_S)
            for client in opened:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answers = [client.recv(100)[:12] for client in opened]
        assert answers == [b"HTTP/1.1 200"] * CALLERS
        assert server.process.wait(END_S) == 0
    finally:
        server.kill()


async def _sign_in_during_shutdown(server: Server) -> list[bytes]:
    """Return what came back on connections whose requests were sent before the signal."""
    body = json.dumps({"username": "admin", "password": ADMIN_PASSWORD})
    head = f"POST {API}/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(SIGN_INS)]
    for _, writer in opened:
        writer.write(request)
    answers = [asyncio.ensure_future(_answer(reader)) for reader, _ in opened]
    await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(stop_and_check, server, signal.SIGTERM)
    received = await asyncio.gather(*answers)
    for _, writer in opened:
        writer.close()
    return received


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Return one whole answer, or as much of it as there was."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return head + await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return b"cut short: " + error.partial
    except OSError as error:
        return f"cut short: {error}".encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_change_that_was_made_was_answered(
    database: str, tmp_path: Path, workers: int
) -> None:
    """Writers that never pause: none of their changes is done without word of it."""
    journal = Journal(workers)
    server = Server(environment(database), tmp_path, "--workers", str(workers))
    server.start()
    try:
        token, tenant = write_load.sign_in_as_admin(server.url)
        with WriteLoad(journal, server.url, token, tenant) as blowing:
            assert write_load.Progress(blowing).wait(30), f"no progress\n{server.output()}"
            stop_and_check(server, signal.SIGTERM)
        silent = {a.pending.request_id for a in journal.accounts if a.pending}
        assert invariants.resolve_in_doubt(journal, database) == []
        assert silent & journal.acknowledged.keys() == set(), "done, and not answered"
        assert invariants.database_problems(journal, database) == []
        assert journal.unexpected_answers == []
    finally:
        server.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_idle_server_ends_at_once(database: str, tmp_path: Path, sent: signal.Signals) -> None:
    """Connections that are kept open and say nothing hold nobody up."""
    server = Server(environment(database), tmp_path, "--workers", "2")
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.get("/healthz").status_code == 200
            assert stop_and_check(server, sent) < 5
    finally:
        server.kill()


def stop_and_check(server: Server, sent: signal.Signals) -> float:
    """Send a signal; check how the server ends; return after how many seconds."""
    assert server.process is not None
    began = time.monotonic()
    server.process.send_signal(sent)
    status = server.process.wait(END_S)
    took = time.monotonic() - began
    left = not wait_for(lambda: not server.has_processes(), 2)
    assert status == 0, f"ended with status {status}\n{server.output()}"
    assert not left, "left processes behind"
    assert '"bug"' not in server.output(), server.output()
    assert "Traceback" not in server.output(), server.output()
    return took
