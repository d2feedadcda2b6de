"""Starts ``dragoman`` in processes forked from one that has imported everything already.

Importing takes a second of CPU time at each start, nine tenths of all that a server needs to be
ready, and some tests start servers by the dozen. What the process itself is about, its command
line, signals and environment, is tested with the installed command (``tests/cli/server``).

Run as a module, this is the process that forks: each line of its standard input is a request, each
line of its standard output the answer, and it ends with its standard input.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

POLL_S = 0.01


class ForkedProcess:
    """A process that was forked; it has what tests use of ``subprocess.Popen``.

    Args:
        arguments: the command line after ``dragoman``.
        folder: where it runs, and where it appends to the files ``stdout`` and ``stderr``.
        settings: its settings, ``DRAGOMAN_…``; nothing of ours is passed on.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, settings: Mapping[str, str]) -> None:
        self._server = _shared_server()
        self.pid: int = self._server.ask([list(arguments), str(folder.absolute()), dict(settings)])
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended (seconds); raises subprocess.TimeoutExpired."""
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("dragoman", timeout)
            time.sleep(POLL_S)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The process that forks, seen from here; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=Path(__file__).parents[2],
            env={k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; it learns of our end by its standard input
        )
        atexit.register(self._process.communicate)

    def ask(self, request: Any) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


@functools.cache
def _shared_server() -> _ForkServer:
    return _ForkServer()


def _answer_requests() -> None:
    """Fork for each command line, and say how each process has ended; return in the children."""
    for line in iter(sys.stdin.buffer.readline, b""):
        request = json.loads(line)
        if isinstance(request, int):
            answer = _exit_status(request)
        elif (answer := os.fork()) == 0:
            _become(*request)
            return
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    os._exit(0)


def _exit_status(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(arguments: list[str], folder: str, settings: dict[str, str]) -> None:
    """Turn this process into one that looks as if it had been started by its command line."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(settings)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = (os.devnull, os.O_RDONLY), ("stdout", append), ("stderr", append)
    for descriptor, (path, flags) in enumerate(files):
        opened = os.open(path, flags, 0o666)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = ["dragoman", *arguments]


def _import_everything() -> None:
    import alembic.command
    import uvloop
    from granian import asgi

    from dragoman import dialects
    from dragoman.cli import main
    from dragoman.cli.server import serve
    from dragoman.store import migrate
    from dragoman.store.drivers import postgres, sqlite

    assert alembic.command, (uvloop, asgi, main, serve, migrate, postgres, sqlite)
    for name in dialects.NAMES:
        dialects.load(name)
    gc.freeze()  # what is here is never garbage: no child looks through it


def main() -> NoReturn:
    """Import, answer requests; in each child, run the command."""
    _import_everything()
    _answer_requests()
    from dragoman.cli.main import main as command

    sys.exit(command())


if __name__ == "__main__":
    main()
