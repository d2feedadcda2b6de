"""`dragoman serve`: output, startup errors and shutdown."""

from __future__ import annotations

import asyncio
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
from tests.support.databases import DatabaseTemplates, query
from tests.support.processes import workers
from tests.support.server import Server, environment, free_port, running_server
from tests.support.terminal import Terminal

pytestmark = pytest.mark.usefixtures("real_hashes")

QUIET_SETTINGS = {"DRAGOMAN_DATABASE": "sqlite:///dragoman.db", "DRAGOMAN_ANONYMOUS_RATE": "off"}
PUBLIC = "http://127.0.0.1:8000"


@contextlib.contextmanager
def sighup_disposition(handler: signal.Handlers) -> Iterator[None]:
    """Start processes in the block with this handler for SIGHUP, however the tests are run."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_until(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until the condition is true; return whether it became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_the_first_start_prints_the_superadmin_once(tmp_path: Path) -> None:
    server = Server(QUIET_SETTINGS, tmp_path, installed=True)
    for start in (1, 2):
        server.start()
        result = (tmp_path / "stdout").read_text()
        assert result.count("password: ") == 1
        listening = server.logged("listening")
        assert len(listening) == start
        assert listening[-1]["address"] == server.url
        assert listening[-1]["contracts"]["wiwebb"] == f"{server.url}/wiwebb/"
        password = re.findall(r"password: (\S+)", result)[0]
        assert len(password) >= 20
        response = httpx.post(
            f"{server.url}/api/v1/auth/login/", json={"username": "admin", "password": password}
        )
        assert response.status_code == 200
        server.stop()
    assert server.complaints() == []
    for name in ("dragoman.db", "dragoman.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signal_to_the_process_group(tmp_path: Path, signal_name: str, workers: str) -> None:
    """Workers get the signal twice, from the terminal and the main process, and exit normally.

    Some workers may not have finished starting when the signal arrives.
    """
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", workers, installed=True)
    try:
        with sighup_disposition(signal.SIG_DFL):
            server.start()
        assert server.process is not None
        os.killpg(server.pid, signal.Signals[signal_name])
        assert server.process.wait(7) == 0, server.output()
        assert wait_until(2, lambda: not server.has_processes())
        assert server.complaints() == []
    finally:
        server.kill()


def test_repeated_signals_do_not_delay_or_change_the_exit(tmp_path: Path) -> None:
    """A closed session, and systemd with SendSIGHUP, send both; SIGTERM until the last moment."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "3", installed=True)
    try:
        with sighup_disposition(signal.SIG_DFL):
            server.start()
        assert server.process is not None
        process = server.process
        process.send_signal(signal.SIGHUP)

        def terminated() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        assert wait_until(8, terminated), server.output()
        assert process.returncode == 0, server.output()
        assert wait_until(2, lambda: not server.has_processes())
    finally:
        server.kill()


def test_nohup(tmp_path: Path) -> None:
    """A server that was started with SIGHUP ignored keeps ignoring it, workers included."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "2", installed=True)
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


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_a_signal_before_the_server_is_loaded(tmp_path: Path, signal_name: str) -> None:
    (folder := tmp_path / "granian").mkdir()
    (folder / "__init__.py").write_text(
        f"import os, signal\nos.kill(os.getpid(), signal.{signal_name})\n"
    )
    terminal = Terminal("sqlite:///dragoman.db", tmp_path, PYTHONPATH=str(tmp_path))
    done = terminal.spawn("serve", "--port", str(free_port()))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_incomplete_request_does_not_delay_shutdown(tmp_path: Path) -> None:
    server = Server(QUIET_SETTINGS, tmp_path)
    server.start()
    assert server.process is not None
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
        started_at = time.monotonic()
        server.stop()
        assert time.monotonic() - started_at < 15


def test_workers_exit_with_the_main_process(tmp_path: Path) -> None:
    """Otherwise they would answer next to the next server on the same port."""
    server = Server(QUIET_SETTINGS, tmp_path, "--workers", "2", installed=True)
    server.start()
    assert server.process is not None
    server.process.kill()
    server.process.wait(5)
    try:
        assert wait_until(10, lambda: not server.has_processes())
    finally:
        server.kill()


def test_slow_client_does_not_keep_an_orphaned_worker_alive(tmp_path: Path) -> None:
    """Otherwise the port would stay in use and the next server could not start."""
    server = Server(QUIET_SETTINGS, tmp_path, installed=True)
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


def test_worker_exits_if_the_main_process_died_before_it_started(tmp_path: Path) -> None:
    """Its parent is then the process that has adopted it."""
    early = (
        "import os, time\n"
        "from dragoman.cli.server import serve\n"
        "main = os.getpid()\n"
        "os.environ['_DRAGOMAN_MAIN'] = str(main)\n"
        "if os.fork():\n"
        "    os._exit(0)\n"
        "while os.getppid() == main:\n"
        "    time.sleep(0.01)\n"
        "serve.application()\n"
        "print(time.monotonic(), flush=True)\n"
        "time.sleep(20)\n"
    )
    done = subprocess.run(  # returns when no process has its standard output open
        [sys.executable, "-c", early],
        cwd=tmp_path,
        env=environment(QUIET_SETTINGS),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert time.monotonic() - float(done.stdout or "inf") < 15


def test_a_worker_searches_for_cycles_rarely_and_not_in_what_it_loaded(tmp_path: Path) -> None:
    loaded = (
        "import gc, os\n"
        "from dragoman.cli.server import serve\n"
        "os.environ['_DRAGOMAN_MAIN'] = str(os.getppid())\n"
        "serve.application()\n"
        "print(gc.get_threshold()[0], gc.get_freeze_count(), flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        cwd=tmp_path,
        env=environment(QUIET_SETTINGS),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    threshold, frozen = map(int, done.stdout.split())
    assert threshold == serve.COLLECTION_THRESHOLD
    assert frozen > 50_000


def test_workers_are_always_forked(tmp_path: Path) -> None:
    """Otherwise they would not inherit the reserved port, and a second server could start."""
    choice = "import multiprocessing\nmultiprocessing.set_start_method('spawn')\n"
    (tmp_path / "sitecustomize.py").write_text(choice)
    with running_server({**QUIET_SETTINGS, "PYTHONPATH": str(tmp_path)}, tmp_path) as server:
        (worker,) = workers(server)
        commands = {Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (server.pid, worker)}
        assert len(commands) == 1, commands


def test_port_in_use(sqlite_terminal: Terminal) -> None:
    with running_server(sqlite_terminal.settings, sqlite_terminal.folder) as server:
        result = sqlite_terminal.spawn("serve", "--port", str(server.port))
        result.assert_refused(1, f"cannot listen on 127.0.0.1 port {server.port}: ")
        assert "listening" not in result.stderr
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_only_one_of_two_simultaneous_servers_gets_the_port(tmp_path: Path) -> None:
    """Both find the port free; if both listened, clients would reach either of them."""
    port = free_port()
    two = [Server(QUIET_SETTINGS, tmp_path / name, installed=True) for name in ("one", "other")]

    def start(server: Server) -> None:
        server.folder.mkdir()
        server.port = port
        with contextlib.suppress(RuntimeError):  # it exited before it answered
            server.start()

    def ended() -> list[Server]:
        return [server for server in two if server.process and server.process.poll() is not None]

    with ThreadPoolExecutor(len(two)) as at_once:
        list(at_once.map(start, two))
    try:
        assert wait_until(30, lambda: len(ended()) > 0), "both have the port"
        (refused,) = ended()
        assert "cannot listen" in refused.output()
    finally:
        for server in two:
            server.kill()


def test_startup_errors(tmp_path: Path, database_templates: DatabaseTemplates) -> None:
    port = str(free_port())
    away = Terminal("postgresql://me:tr0mb0ne@127.0.0.1:1/users", tmp_path)
    result = away.spawn("serve", "--port", port)
    result.assert_refused(1, "the database is unavailable")
    assert "tr0mb0ne" not in result.stderr
    with database_templates.empty("sqlite") as url:
        wrong = {"DRAGOMAN_CONTRACTS": "wiwebb,nix", "DRAGOMAN_HOSTS": "a.test=nox"}
        result = Terminal(url, tmp_path, **wrong).spawn("serve", "--port", port)
        result.assert_refused(1, "nix", "nox")
        result = Terminal(url, tmp_path).spawn("serve", "--host", "192.0.2.1", "--port", port)
        result.assert_refused(1, f"cannot listen on 192.0.2.1 port {port}")


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".a"])
def test_invalid_host_name(sqlite_terminal: Terminal, host: str) -> None:
    port = str(free_port())
    result = sqlite_terminal.spawn("serve", "--host", host, "--port", port)
    result.assert_refused(1, "cannot listen on", f"port {port}: ")


def test_invalid_first_superadmin(tmp_path: Path) -> None:
    shell = Terminal("sqlite:///dragoman.db", tmp_path, DRAGOMAN_ADMIN_EMAIL="nowhere")
    shell.spawn("serve", "--port", str(free_port())).assert_refused(
        1, "email: not a valid e-mail address"
    )


def test_public_url_of_contracts(tmp_path: Path) -> None:
    """The setting applies even if it equals the default, as behind a proxy on another port."""
    for settings, base in (({}, ""), ({"DRAGOMAN_PUBLIC_URL": PUBLIC}, PUBLIC)):
        with running_server({**QUIET_SETTINGS, **settings}, tmp_path) as server:
            contracts = httpx.get(f"{server.url}/").json()["contracts"]
            assert contracts["wiwebb"] == f"{base or server.url}/wiwebb/"
            remembered = "SELECT value FROM server_state WHERE key = 'public_url'"
            database = f"sqlite:///{tmp_path}/dragoman.db"
            assert asyncio.run(query(database, remembered)) == [(base or server.url,)]


def test_host_name_instead_of_address(tmp_path: Path) -> None:
    port = free_port()
    server = Server(QUIET_SETTINGS, tmp_path, "--host", "localhost")
    server.port = port
    server.start()
    server.stop()
