"""Bytes on connections of their own: what comes back, how often, and whether it was closed."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import msgspec

QUIET_S = 5.0
"""Who is silent for so long has said everything, however busy the machine is."""
PATIENCE_S = 20.0
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")


class RawResponse(msgspec.Struct, frozen=True):
    """What came back on a connection: the statuses in order, and whether it was closed."""

    statuses: tuple[int, ...]
    closed: bool
    text: bytes = b""

    @property
    def refused(self) -> bool:
        """Whether it was one 4xx, and the end."""
        return len(self.statuses) == 1 and 400 <= self.statuses[0] < 500 and self.closed


def send_raw(port: int, sent: bytes, *, quiet: float = QUIET_S) -> RawResponse:
    """Send bytes on a connection of their own; return what comes back until nothing more does."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.settimeout(quiet)
        closed = False
        try:
            connection.sendall(sent)
        except ConnectionError:
            closed = True  # it did not want to hear the rest; what it said may be there yet
        try:
            while piece := connection.recv(65_536):
                got += piece
            closed = True
        except TimeoutError:
            pass
        except ConnectionError:
            closed = True
    return RawResponse(statuses_of(got), closed, got)


def statuses_of(got: bytes) -> tuple[int, ...]:
    """Return the statuses of the answers in these bytes, in order."""
    return tuple(int(status) for status in STATUS_LINE.findall(got))


class StreamResult(msgspec.Struct, frozen=True):
    """How an endless stream ended: the statuses that came, the bytes that went, and when."""

    statuses: tuple[int, ...]
    sent: int
    seconds: float


def stream_endlessly(
    port: int, head: bytes, chunk: bytes, *, max_bytes: int, seconds: float
) -> StreamResult:
    """Send a head, then a piece for ever, until the server ends it, or to the bound."""
    began, sent, got = time.monotonic(), 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(head)
            while sent < max_bytes and time.monotonic() - began < seconds:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        connection.settimeout(QUIET_S)
        try:
            while came := connection.recv(65_536):
                got += came
        except OSError:
            pass
    return StreamResult(statuses_of(got), sent, time.monotonic() - began)


def resident_memory(pid: int) -> int:
    """Return how much memory a process holds (bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
