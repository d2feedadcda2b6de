"""A Redis of a test's own: the installed one if there is one, else one written in Python."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from fakeredis import TcpFakeServer

from tests.support.server import free_port

PROGRAMS = ("redis-server", "valkey-server")
KINDS = ("python", *(name for name in PROGRAMS if shutil.which(name)))
"""What can be started here; the first one everywhere."""
PATIENCE_S = 20.0


class RedisServer:
    """Starts and stops a Redis on one port; what it has counted is lost with it."""

    def __init__(self, kind: str, folder: Path, password: str = "") -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.password = password
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self._server: Any = None
        if not password:
            self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self.kind == "python":
            self._server = TcpFakeServer(("127.0.0.1", self.port), server_type="redis")
            self._server.daemon_threads = True
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
            return
        options = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--daemonize",
            "no",
        ]
        if self.password:
            options += ["--requirepass", self.password]
        self._process = subprocess.Popen(
            [self.kind, *options], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise TimeoutError(f"{self.kind} did not start")

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def running_redis(kind: str, folder: Path, password: str = "") -> Generator[RedisServer]:
    """Run one for the length of a block."""
    server = RedisServer(kind, folder, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()
