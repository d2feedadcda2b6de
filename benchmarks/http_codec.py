"""Requests as bytes, and answers out of bytes: what both generators of ours share."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

NUMBER_PLACEHOLDER = "@@@@@@@@@@@@"
"""Where this stands in a body, every request has another text of the same length."""
LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost"}
_NEXT = re.compile(rb'"next":\s*"https?://[^/"]+(/[^"]*)"')


class RequestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A request: the whole ``Authorization`` header's value, a body that may hold NUMBER."""

    path: str
    method: str = "GET"
    authorization: str = ""
    body: str = ""
    content_type: str = "application/json"

    def encode(self, host: str) -> bytes:
        """Return the request as it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", "Accept: application/json"]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        body = self.body.encode()
        if body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(body)}"]
        return "\r\n".join((*lines, "", "")).encode() + body


def unique_text(salt: str, number: int) -> str:
    """Return what takes the place of NUMBER; a salt has five letters."""
    return f"{salt}{number:07}"


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a server; raises ValueError for one on another machine."""
    address = urlsplit(url)
    if address.hostname not in LOCAL_HOSTS:
        raise ValueError("only servers on this machine are asked")
    return str(address.hostname), address.port or 80


class ResponseReader:
    """Reads one answer after another; each begins where the one before ended.

    Args:
        keep: whether bodies are kept, to look into them.
    """

    __slots__ = ("_buffer", "_chunked", "_keep", "_missing", "body", "head", "status")

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._buffer = b""
        self._missing = -1  # bytes of the body that have not come; -1 before its head is whole
        self._chunked = False
        self.status = b""
        self.head = b""
        self.body = b""

    def feed(self, data: bytes) -> bool:
        """Take a part of an answer; say whether that completes it (status, head, body)."""
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
        """Return the path behind the body's ``next``; empty on a list's last page."""
        found: Any = _NEXT.search(self.body)
        return found[1].decode() if found else ""
