"""The real server in a process of its own: started, reached, ended or killed."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

import httpx

from tests.support.databases import ADMIN_PASSWORD
from tests.support.fork_server import ForkedProcess

INSTALLED = os.environ.get("FAULT_COMMAND") == "installed"
"""Whether servers run the installed command where a test does not say so (``make faults``)."""
PATIENCE_S = 30.0
PORTS = (12_000, 32_000)
_RESERVED_PORTS: set[int] = set()


class Server:
    """``dragoman serve`` on a free port.

    Args:
        environment: its settings, ``DRAGOMAN_…``; nothing of ours is passed on.
        folder: where it runs and writes what it says (``stdout``, ``stderr``).
        options: more of its command line, like ``--workers``.
        installed: start the installed command, not a process forked from one like it; variables
            of the interpreter or the system take effect in the installed command only.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        *options: str,
        installed: bool = INSTALLED,
    ) -> None:
        self.environment = dict(environment)
        self.folder = folder
        self.options = options
        self.installed = installed or not all(map(_is_setting, self.environment))
        self.port = 0
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The pid of the process that was started; its group has the same number."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, on the port it had before if it had one, and wait until it is ready."""
        self.port = self.port or free_port()
        words = ["serve", "--host", "127.0.0.1", "--port", str(self.port), *self.options]
        if self.installed:
            self._spawn(words)
        else:
            self.process = ForkedProcess(words, self.folder, self.environment)
        self._wait_until_ready()

    def _spawn(self, words: list[str]) -> None:
        with (
            (self.folder / "stdout").open("ab") as out,
            (self.folder / "stderr").open("ab") as err,
        ):
            self.process = subprocess.Popen(
                [*dragoman_command(), *words],
                cwd=self.folder,
                env=environment(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    log_may_be_cut = False
    """Whether a limit of the test cuts the lines of its log off."""

    def stop(self) -> None:
        """End it by SIGTERM; it must end with status 0 and leave no process behind."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_S)
        left = self._has_leftover_processes()
        self.kill()
        assert status == 0, f"ended with status {status}\n{self.output()}"
        assert not left, "left processes behind"
        assert ADMIN_PASSWORD not in self.output(), "a password was logged"
        is_json = self.environment.get("DRAGOMAN_LOG_FORMAT", "json") == "json"
        if is_json and not self.log_may_be_cut:
            self.log()

    def kill(self) -> None:
        """End it and all its workers by SIGKILL, at once; harmless when it has ended."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self._has_leftover_processes()

    def has_processes(self) -> bool:
        """Say whether any process of it is left, the dead that nobody has reaped not counted."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        tables = list(Path("/proc").glob("[0-9]*/stat"))
        return any(_is_live_member(self.pid, table) for table in tables) if tables else True

    def _has_leftover_processes(self) -> bool:
        """Say whether a process of it is left a moment after its end."""
        end = time.monotonic() + 2
        while self.has_processes():
            if time.monotonic() > end:
                return True
            time.sleep(0.02)
        return False

    def output(self) -> str:
        """Return everything that it has written."""
        return "".join((self.folder / name).read_text() for name in ("stdout", "stderr"))

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log; every line on standard error must be one."""
        lines = (self.folder / "stderr").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        assert all(list(event)[:3] == ["time", "level", "event"] for event in events)
        return events

    def logged(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of its log about an event."""
        return [event for event in self.log() if event["event"] == name]

    def complaints(self) -> list[dict[str, Any]]:
        """Return what its log holds of warnings and errors."""
        return [event for event in self.log() if event["level"] not in {"debug", "info"}]

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the server is not ready\n{self.output()}")


@contextlib.contextmanager
def running_server(
    settings: Mapping[str, str], folder: Path, *options: str, installed: bool = INSTALLED
) -> Generator[Server]:
    """Run a server for the length of a block and check that it ends cleanly."""
    server = Server(settings, folder, *options, installed=installed)
    server.start()
    try:
        yield server
    except BaseException:
        server.kill()
        raise
    server.stop()


def _is_live_member(group: int, table: Path) -> bool:
    """Say whether a process, by its line in /proc, belongs to a group and is not dead altogether.

    If it is killed, its first thread may be dead while others still hold its port.
    """
    try:
        columns = table.read_text().rpartition(")")[2].split()
        state, process_group, threads = columns[0], int(columns[2]), int(columns[17])
    except (OSError, ValueError, IndexError):
        return False
    return process_group == group and (state not in {"Z", "X"} or threads > 1)


def dragoman_command() -> list[str]:
    """Return the command beside this interpreter, else the module that it would call."""
    found = shutil.which("dragoman", path=str(Path(sys.executable).parent))
    return [found] if found else [sys.executable, "-m", "dragoman.cli.main"]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with these settings instead of ours."""
    kept = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    return {**kept, **settings}


def _is_setting(name: str) -> bool:
    return name.startswith("DRAGOMAN_")


@functools.cache
def _port_file() -> IO[bytes]:
    """Return the file of ports; it is left open, as closing it would end the locks."""
    return (Path(tempfile.gettempdir()) / f"dragoman-ports-{os.getuid()}").open("ab")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, and that nobody else is given.

    Servers take a moment to listen, and many of them would share a port without a word: so this
    process locks its number, a byte of a file, until it ends. It is none of those that the system
    gives to whoever connects.
    """
    while True:
        port = random.randrange(*PORTS)
        if port in _RESERVED_PORTS:
            continue
        with contextlib.suppress(OSError):
            fcntl.lockf(_port_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            _RESERVED_PORTS.add(port)
            with socket.create_server(("127.0.0.1", port)):
                return port
