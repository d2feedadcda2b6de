"""Answers in JSON, made without a detour: most answers are one encoded struct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


class JSON(Response):
    """An answer whose body is ``body`` as JSON: structs, dicts, lists and what they hold.

    Args:
        status: the HTTP status.
        body: what to encode.
        headers: further ones.
        media_type: what the body is called (``application/json``).
    """

    def __init__(
        self,
        status: int,
        body: Any,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        self.status_code = status
        self.media_type = media_type
        self.background = None
        self.body = _encode(body)
        self.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", media_type.encode("latin-1")),
        ]
        if headers:
            self.raw_headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ]
