"""HTTP/1.1 requests and responses as bytes, for both of our load generators."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

NUMBER_PLACEHOLDER = "@@@@@@@@@@@@"
"""Placeholder in a body that each request replaces by a different text of the same length."""
LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost"}
_NEXT = re.compile(rb'"next":\s*"https?://[^/"]+(/[^"]*)"')


class RequestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A request; ``authorization`` is the whole header value, a body may contain NUMBER_PLACEHOLDER."""

    path: str
    method: str = "GET"
    authorization: str = ""
    body: str = ""
    content_type: str = "application/json"

    def encode(self, host: str) -> bytes:
        """Return the request as bytes for a host."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", "Accept: application/json"]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        body = self.body.encode()
        if body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join((*lines, "", "")).encode() + body


def unique_text(salt: str, number: int) -> str:
    """Return the replacement for NUMBER_PLACEHOLDER; ``salt`` has five letters."""
    return f"{salt}{number:07}"


def address_of(url: str) -> tuple[str, int]:
    """Return the host and port of a URL; raises ValueError if it is on another machine."""
    address = urlsplit(url)
    if address.hostname not in LOCAL_HOSTS:
        raise ValueError("only servers on this machine can be measured")
    return str(address.hostname), address.port or 80


class ResponseReader:
    """Parses the responses of a connection, one after the other.

    Args:
        keep: whether to keep response bodies.
    """

    __slots__ = ("_buffer", "_chunked", "_keep", "_missing", "body", "head", "status")

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._buffer = b""
        self._missing = -1  # missing bytes of the body; -1 while the head is incomplete
        self._chunked = False
        self.status = b""
        self.head = b""
        self.body = b""

    def feed(self, data: bytes) -> bool:
        """Add received bytes; return True when a response is complete (status, head, body)."""
        if self._missing < 0:
            data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return False
            self.status, self.head, self._buffer = data[9:12], data[:end].lower(), b""
            self._missing = self._length()
            self.body, data = b"", data[end + 4 :]
        if self._keep or self._chunked:
            self.body += data
        self._missing -= len(data)
        if self._chunked:
            whole = self.body.endswith(b"0\r\n\r\n")
        else:
            whole = self._missing <= 0
        if whole:
            if self._missing < 0 and not self._chunked:
                self.status = b"answer longer than it said"
            self._missing = -1
        return whole

    def _length(self) -> int:
        self._chunked = b"\r\ntransfer-encoding: chunked" in self.head
        if self._chunked:
            return 2**40
        at = self.head.find(b"\r\ncontent-length:")
        return int(self.head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0

    def next_path(self) -> str:
        """Return the path of the body's ``next`` link; empty on the last page."""
        found: Any = _NEXT.search(self.body)
        return found[1].decode() if found else ""
