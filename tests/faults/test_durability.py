"""What is acknowledged is on disk: SQLite's log is synchronised before the answer's first byte."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from dragoman.actions import tenants
from dragoman.jobs import doctor
from dragoman.rules.model import TenantChanges
from dragoman.store.query import Query
from tests.faults.syscall_tracer import (
    SyscallEvent,
    SyscallTracer,
    TracingForbidden,
    durability_problems,
    socket_of,
)
from tests.support.databases import query, settings_for
from tests.support.people import open_directory, transaction
from tests.support.processes import checked_server, workers
from tests.support.server import Server
from tests.support.user_requests import headers_of, url_of
from tests.support.world import PASSWORD, Person, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


class TracedServer:
    """A server with one worker whose system calls are seen, and one connection to it."""

    def __init__(self, server: Server, tracer: SyscallTracer) -> None:
        self._tracer = tracer
        self._line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._line.request("GET", "/healthz")
        self._line.getresponse().read()
        self._answers = socket_of(server.port, self._line.sock.getsockname()[1])

    def ask(
        self, contract: str, method: str, path: str, token: str = "", body: Any = None
    ) -> tuple[int, list[str]]:
        """Send a request; return its status and what is wrong with how it was done."""
        begin = len(self._tracer.events)
        headers = {**headers_of(contract, token), "Content-Type": "application/json"}
        text = msgspec.json.encode(body) if body is not None else None
        self._line.request(method, url_of(contract, path), text, headers)
        answer = self._line.getresponse()
        answer.read()
        assert self._tracer.error is None, self._tracer.error
        return answer.status, durability_problems(
            self._tracer.events[begin:], "-wal", self._answers
        )

    def close(self) -> None:
        """Hang up."""
        self._line.close()


@pytest.fixture
def traced_server(seeded_database: tuple[str, World], tmp_path: Path) -> Iterator[TracedServer]:
    """A server on the world, watched until its end."""
    with checked_server(seeded_database[0], tmp_path) as server:
        (worker,) = workers(server)
        tracer = watch(worker)
        client = TracedServer(server, tracer)
        yield client
        client.close()
    tracer.join(30)
    assert not tracer.is_alive()


def changes(mia: Person) -> list[tuple[str, str, str, Any]]:
    """Return a change of somebody by each contract, and what is undone by the next."""
    user = f"/api/v1/users/{mia.id}/"
    return [
        ("wiwebb", "PATCH", user, {"location": "Split"}),
        ("accounts", "PUT", f"/api/users/{mia.id}", {"first_name": "Mira"}),
        ("vsay", "PUT", f"/users/usr_{mia.public_id}", {"name": "Mia Moss"}),
        ("wekan", "PUT", f"/api/users/{mia.public_id}", {"action": "disableLogin"}),
        ("binacle", "PUT", f"/api/users/{mia.email}", {"status": "Active"}),
        ("wiwebb", "POST", f"{user}set-password/", {"password": f"{PASSWORD}-2"}),
        ("binacle", "DELETE", f"/api/users/{mia.email}", None),
    ]


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_log_is_on_disk_before_the_answer(
    traced_server: TracedServer, seeded_database: tuple[str, World]
) -> None:
    """For a change by each contract, a sign-in, and a deletion."""
    people = seeded_database[1].people
    body = {"username": "mia", "password": people["mia"].password}
    assert traced_server.ask("wiwebb", "POST", "/api/v1/auth/login/", body=body) == (200, [])
    for contract, method, path, change_body in changes(people["mia"]):
        who = "ada" if contract == "wiwebb" else "olga"
        status, wrong = traced_server.ask(
            contract, method, path, people[who].tokens[contract], change_body
        )
        assert (200 <= status < 300, wrong) == (True, []), (contract, method, path, status)
    token = people["ada"].token
    read = traced_server.ask("wiwebb", "GET", "/api/v1/users/", token)
    assert read == (200, ["answered, and nothing was written to the log"])


def _log(*, begins: bool = True) -> SyscallEvent:
    return SyscallEvent("pwrite", "/x/dragoman.db-wal", begins, 0 if begins else 4096)


def _sync(*, begins: bool, result: int = 0) -> SyscallEvent:
    return SyscallEvent("sync", "/x/dragoman.db-wal", begins, result)


SEND = SyscallEvent("sendto", "socket:[7]", begins=True)
DONE = (_sync(begins=True), _sync(begins=False))


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([_log(), _log(begins=False), *DONE, SEND], []),
        ([_log(), *DONE, SyscallEvent("sendto", "socket:[8]", begins=True), SEND, *DONE], []),
        ([_log(), SEND, *DONE], ["answered before the log was on disk"]),
        ([_log(), DONE[0], SEND, DONE[1]], ["answered before the log was on disk"]),
        ([_log(), *DONE, _log(), SEND], ["answered before the log was on disk"]),
        (
            [_log(), DONE[0], _sync(begins=False, result=-5), SEND],
            ["answered before the log was on disk"],
        ),
        ([*DONE, SEND, _log()], ["answered, and nothing was written to the log"]),
        ([_log(), *DONE], ["no answer was seen"]),
        (
            [_log(), SyscallEvent("sync", "/x/dragoman.db", begins=False), SEND],
            ["answered before the log was on disk"],
        ),
    ],
)
def test_checks_of_syscall_sequences(events: list[SyscallEvent], wrong: list[str]) -> None:
    assert durability_problems(events, "-wal", "socket:[7]") == wrong


SERVE = """
import os, socket, sys
log = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    line = listening.accept()[0]
    while asked := line.recv(1):
        os.write(log, b"changed")
        steps = [lambda: os.fdatasync(log), lambda: line.send(b"done")]
        for step in steps if asked == b"1" else reversed(steps):
            step()
"""


def test_a_process_that_answers_too_early_is_seen(tmp_path: Path) -> None:
    """The instrument itself: one that does it in the right order, and in the wrong one."""
    command = [sys.executable, "-c", SERVE, str(tmp_path / "x-wal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        line = socket.create_connection(("127.0.0.1", port), timeout=30)
        tracer: SyscallTracer | None = None
        try:
            tracer = watch(process.pid)
            line.sendall(b"1")
            assert line.recv(4) == b"done"
            answers, right = socket_of(port, line.getsockname()[1]), len(tracer.events)
            line.sendall(b"0")
            assert line.recv(4) == b"done"
            wrong = tracer.events[right:]
            assert durability_problems(tracer.events[:right], "-wal", answers) == []
            assert durability_problems(wrong, "-wal", answers) == [
                "answered before the log was on disk"
            ]
        finally:
            os.kill(process.pid, signal.SIGKILL)  # Popen would ask for its state: ours to be told
            line.close()
            if tracer is not None:
                tracer.join(30)
                assert not tracer.is_alive()


def watch(pid: int) -> SyscallTracer:
    """Watch a process; the test is skipped where the system forbids it."""
    tracer = SyscallTracer(pid)
    try:
        tracer.begin()
    except TracingForbidden as error:
        pytest.skip(f"nobody may be watched here: {error}")
    return tracer


SETTING: Query[str] = Query(sa.select(sa.func.current_setting("synchronous_commit")))
INSERT_POSITION: Query[str] = Query(
    sa.select(sa.cast(sa.func.pg_current_wal_insert_lsn(), sa.Text))
)
FLUSHED = "SELECT CAST(pg_current_wal_flush_lsn() AS text)"


def position(text: str) -> int:
    """Return a place in PostgreSQL's log as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


@pytest.mark.anyio
@pytest.mark.postgresql
@pytest.mark.parametrize("backend", ["postgresql"])
async def test_postgresql_has_its_log_on_disk_before_a_commit_returns(database: str) -> None:
    """Our sessions ask for it, and at each commit the log has got beyond all that was written."""
    async with open_directory(settings_for(database)) as directory:
        for number in range(10):
            async with transaction(directory) as tx:
                named = TenantChanges(name=f"t{number}", slug=f"t{number}")
                await tenants.create(tx, named)
                assert await tx.fetch_one(SETTING) == "on"
                reached = await tx.fetch_one(INSERT_POSITION)
            ((flushed,),) = await query(database, FLUSHED)
            assert reached is not None
            assert position(flushed) > position(reached)


@pytest.mark.anyio
@pytest.mark.postgresql
@pytest.mark.parametrize("backend", ["postgresql"])
async def test_an_operator_who_gives_that_up_is_told(database: str) -> None:
    """The checkup says so where the database answers before its log is on disk."""
    name = database.rpartition("/")[2]
    for switch, state in (("on", "ok"), ("off", "fail")):
        await query(database, f'ALTER DATABASE "{name}" SET synchronous_commit = {switch}')
        async with open_directory(settings_for(database)) as directory:
            found = {each.check: each for each in await doctor.check_database(directory)}
        assert found["durability"].state == state
        assert f"synchronous_commit {switch}" in found["durability"].found
