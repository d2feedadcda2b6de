"""Mail servers that stop speaking at a chosen moment, and callers who must not notice."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

STAGES = ("connect", "banner", "recipient", "data")
"""When it falls silent: before it accepts, before its first word, before it takes a recipient, or
after the whole mail."""
_SMTP_REPLIES = {b"EHLO": b"250 here", b"HELO": b"250 here", b"MAIL": b"250 fine",
            b"RCPT": b"250 fine", b"DATA": b"354 go on"}  # fmt: skip


class HangingSmtpServer:
    """One such server; ``reached`` is set when it has fallen silent on somebody."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._listener.getsockname()[1]
        self.reached = threading.Event()

    def start(self) -> None:
        """Begin to listen, or take up all the room there is for who wants to connect."""
        if self._stage == "connect":
            with contextlib.suppress(OSError):
                while True:  # until the next one would wait
                    other = socket.socket()
                    self._open.append(other)
                    other.settimeout(0.2)
                    other.connect(("127.0.0.1", self.port))
            self.reached.set()
            return
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._open.append(connection)
                thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            if self._stage == "banner":
                self.reached.set()
                return
            connection.sendall(b"220 here\r\n")
            for line in lines:
                word = line[:4].upper()
                if (self._stage, word) == ("recipient", b"RCPT"):
                    break
                connection.sendall(_SMTP_REPLIES.get(word, b"502 what\r\n").rstrip() + b"\r\n")
                if word == b"DATA":
                    while lines.readline() not in {b".\r\n", b""}:
                        pass
                    break
            self.reached.set()

    def end(self) -> None:
        """Go away: whoever still waits learns of it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)


@contextlib.contextmanager
def hanging_smtp_server(stage: str) -> Iterator[HangingSmtpServer]:
    """Run one for the length of a block."""
    server = HangingSmtpServer(stage)
    server.start()
    try:
        yield server
    finally:
        server.end()
