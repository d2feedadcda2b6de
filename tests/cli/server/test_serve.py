"""`dragoman serve`: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from dragoman.cli.server import serve
from tests.support.databases import DatabaseTemplates
from tests.support.processes import workers
from tests.support.server import Server, environment, free_port, running_server
from tests.support.terminal import Terminal

pytestmark = pytest.mark.usefixtures("real_hashes")

QUIET_SETTINGS = {"DRAGOMAN_DATABASE": "sqlite:///dragoman.db", "DRAGOMAN_ANONYMOUS_RATE": "off"}
PUBLIC = "http://127.0.0.1:8000"


@contextlib.contextmanager
def sighup_disposition(what: signal.Handlers) -> Iterator[None]:
    """Let what starts in a block have this for SIGHUP, whoever runs the tests, in whatever way."""
    before = signal.signal(signal.SIGHUP, what)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_until(seconds: float, happens: Callable[[], bool]) -> bool:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_the_first_start_prints_the_superadmin_once(tmp_path: Path) -> None:
    server = Server(QUIET_SETTINGS, tmp_path)
    for start in (1, 2):
        server.start()
        said = (tmp_path / "stdout").read_text()
        assert said.count("password: ") == 1
        assert said.count(f"wiwebb: {server.url}/wiwebb/") == start
        assert said.count(f"Listening at {server.url}") == start
        password = re.findall(r"password: (\S+)", said)[0]
        assert len(password) >= 20
        answer = httpx.post(
            f"{server.url}/api/v1/auth/login/", json={"username": "admin", "password": password}
        )
        assert answer.status_code == 200
        server.stop()
    assert (tmp_path / "stderr").read_text() == ""
    for name in ("dragoman.db", "dragoman.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_to_the_whole_group(tmp_path: Path, sent: str, workers: str) -> None:
    """Ctrl-C reaches the workers too, and the main process tells them again; no fault of theirs.

    So does a terminal that is closed. The signal comes while some workers may not have finished starting.
    """
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", workers)
    try:
        with sighup_disposition(signal.SIG_DFL):
            server.start()
        assert server.process is not None
        os.killpg(server.pid, signal.Signals[sent])
        assert server.process.wait(7) == 0, server.output()
        assert wait_until(2, lambda: not server.has_processes())
        assert (tmp_path / "stderr").read_text() == ""
    finally:
        server.kill()


def test_whoever_hangs_up_and_insists_is_obeyed_as_soon(tmp_path: Path) -> None:
    """A session that ends, and systemd with SendSIGHUP, send both."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "3")
    try:
        with sighup_disposition(signal.SIG_DFL):
            server.start()
        assert server.process is not None
        for sent in (signal.SIGHUP, signal.SIGTERM):
            server.process.send_signal(sent)
            time.sleep(0.1)
        assert server.process.wait(8) == 0, server.output()
        assert wait_until(2, lambda: not server.has_processes())
    finally:
        server.kill()


def test_nohup_survives_its_terminal(tmp_path: Path) -> None:
    """What ignores the signal from the beginning goes on ignoring it, workers and all."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "2")
    try:
        with sighup_disposition(signal.SIG_IGN):
            server.start()
        serving_now = workers(server)
        assert len(serving_now) == 2
        os.killpg(server.pid, signal.SIGHUP)
        assert not wait_until(1, lambda: workers(server) != serving_now)
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        server.stop()
    finally:
        server.kill()


def test_a_request_that_is_never_finished_does_not_hold_the_end_up(tmp_path: Path) -> None:
    server = Server(QUIET_SETTINGS, tmp_path)
    server.start()
    assert server.process is not None
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 15


def test_workers_do_not_outlive_the_main_process(tmp_path: Path) -> None:
    """Else they would answer beside the next server, on the same port."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "2")
    server.start()
    assert server.process is not None
    server.process.kill()
    server.process.wait(5)
    try:
        assert wait_until(10, lambda: not server.has_processes())
    finally:
        server.kill()


def test_no_client_keeps_a_worker_alive_after_the_main_process(tmp_path: Path) -> None:
    """It would hold the address as well, and the next server could not start."""
    server = Server(QUIET_SETTINGS, tmp_path)
    server.start()
    assert server.process is not None
    head = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{"
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head)

            def dripped() -> bool:
                with contextlib.suppress(OSError):
                    client.sendall(b" ")
                return not server.has_processes()

            assert not wait_until(0.3, dripped)
            server.process.kill()
            server.process.wait(5)
            assert wait_until(serve.DRAIN_S + 3, dripped)
        server.start()
        server.stop()
    finally:
        server.kill()


def test_a_worker_whose_main_process_died_before_it_began(tmp_path: Path) -> None:
    """Who looks for its parent only then finds the one that has adopted it."""
    early = (
        "import os, time\n"
        "from dragoman.cli import serve\n"
        "main = os.getpid()\n"
        "os.environ['_DRAGOMAN_MAIN'] = str(main)\n"
        "if os.fork():\n"
        "    os._exit(0)\n"
        "while os.getppid() == main:\n"
        "    time.sleep(0.01)\n"
        "serve.application()\n"
        "print('begun', flush=True)\n"
        "time.sleep(20)\n"
    )
    began = time.monotonic()
    subprocess.run(  # which ends when nobody holds its standard output any more
        [sys.executable, "-c", early],
        cwd=tmp_path,
        env=environment(QUIET_SETTINGS),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert time.monotonic() - began < 15


def test_workers_are_forked_whatever_this_python_would_do(tmp_path: Path) -> None:
    """Else they would not inherit the address, which then were free while they still answer."""
    choice = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"
    (tmp_path / "sitecustomize.py").write_text(choice)
    with running_server({**QUIET_SETTINGS, "PYTHONPATH": str(tmp_path)}, tmp_path) as server:
        (worker,) = workers(server)
        commands = {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (server.pid, worker)}
        assert len(commands) == 1, commands


def test_a_port_that_is_taken(sqlite_terminal: Terminal) -> None:
    with running_server(sqlite_terminal.settings, sqlite_terminal.folder) as server:
        said = sqlite_terminal.spawn("serve", "--port", str(server.port))
        said.assert_refused(1, f"cannot listen at 127.0.0.1 port {server.port}: ")
        assert "Listening" not in said.stdout
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_of_two_that_start_at_once_one_has_the_port(tmp_path: Path) -> None:
    """Both find it free; were both to listen, callers would meet one directory or the other."""
    port = free_port()
    two = [Server(QUIET_SETTINGS, tmp_path / name) for name in ("one", "other")]

    def start(server: Server) -> None:
        server.folder.mkdir()
        server.port = port
        with contextlib.suppress(RuntimeError):  # it has ended before anybody answered
            server.start()

    def ended() -> list[Server]:
        return [server for server in two if server.process and server.process.poll() is not None]

    with ThreadPoolExecutor(len(two)) as at_once:
        list(at_once.map(start, two))
    try:
        assert wait_until(30, lambda: len(ended()) > 0), "both have it"
        (refused,) = ended()
        assert "cannot listen" in refused.output()
    finally:
        for server in two:
            server.kill()


def test_what_keeps_it_from_starting(tmp_path: Path, database_templates: DatabaseTemplates) -> None:
    port = str(free_port())
    away = Terminal("postgresql://me:tr0mb0ne@127.0.0.1:1/users", tmp_path)
    said = away.spawn("serve", "--port", port)
    said.assert_refused(1, "the database cannot serve now")
    assert "tr0mb0ne" not in said.stderr
    with database_templates.empty("sqlite") as url:
        wrong = {"DRAGOMAN_CONTRACTS": "wiwebb,nix", "DRAGOMAN_HOSTS": "a.test=nox"}
        said = Terminal(url, tmp_path, **wrong).spawn("serve", "--port", port)
        said.assert_refused(1, "nix", "nox")
        said = Terminal(url, tmp_path).spawn("serve", "--host", "192.0.2.1", "--port", port)
        said.assert_refused(1, f"cannot listen at 192.0.2.1 port {port}")


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".a"])
def test_a_host_that_is_no_name(sqlite_terminal: Terminal, host: str) -> None:
    port = str(free_port())
    said = sqlite_terminal.spawn("serve", "--host", host, "--port", port)
    said.assert_refused(1, "cannot listen at", f"port {port}: ")


def test_an_administrator_that_cannot_be(tmp_path: Path) -> None:
    shell = Terminal("sqlite:///dragoman.db", tmp_path, DRAGOMAN_ADMIN_EMAIL="nowhere")
    shell.spawn("serve", "--port", str(free_port())).assert_refused(
        1, "email: is no e-mail address"
    )


def test_links_lead_where_they_were_told_to(tmp_path: Path) -> None:
    """Also to the address that is the default, where a proxy passes it on to another port."""
    for told, base in (({}, ""), ({"DRAGOMAN_PUBLIC_URL": PUBLIC}, PUBLIC)):
        with running_server({**QUIET_SETTINGS, **told}, tmp_path) as server:
            contracts = httpx.get(f"{server.url}/").json()["contracts"]
            assert contracts["wiwebb"] == f"{base or server.url}/wiwebb/"


def test_a_name_is_a_host_too(tmp_path: Path) -> None:
    port = free_port()
    server = Server(QUIET_SETTINGS, tmp_path, "--host", "localhost")
    server.port = port
    server.start()
    server.stop()
