"""Paging links: the page's number as documented, and for deep pages a signed position besides."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from dragoman.rules import crypto
from dragoman.rules.errors import NotFound
from dragoman.web.calls import Call

AFTER = "after"
DEEP = 1000
"""Rows into a list from which `next` links carry a position; before, skipping costs nothing."""

_Position = tuple[str, int, Any, int]


class NoSuchPage(NotFound):
    """The list has no page of that number."""


def query_of(call: Call) -> dict[str, str]:
    """Return the query's parameters; the last one wins."""
    text: str = call.request.scope["query_string"].decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
    return {key: value.replace("\x00", "\ufffd") for key, value in pairs}


def link(call: Call, query: dict[str, str], **changed: str | None) -> str:
    """Return the address of this list with other parameters; None takes one away."""
    merged = {**query, **changed}
    kept = sorted((key, value) for key, value in merged.items() if value is not None)
    base = call.directory.settings.public_url + call.path
    return f"{base}?{urlencode(kept)}" if kept else base


def _subject(call: Call, query: dict[str, str]) -> str:
    kept = sorted((k, v) for k, v in query.items() if k not in {AFTER, "page", "offset"})
    return f"{call.contract.name}{call.path.rstrip('/')}?{urlencode(kept)}"


def sign(call: Call, query: dict[str, str], number: int, after: tuple[Any, int]) -> str:
    """Return a position of this very list, good for its page ``number`` alone."""
    payload = msgspec.json.encode([_subject(call, query), number, *after])
    return crypto.sign(call.directory.key, "position", payload)


def position(call: Call, query: dict[str, str], number: int) -> tuple[Any, int] | None:
    """Return the position that the query carries; None where there is none for this page."""
    payload = crypto.unsign(call.directory.key, "position", query.get(AFTER, ""))
    if payload is None:
        return None
    subject, of_page, key, row_id = msgspec.json.decode(payload, type=_Position)
    return (key, row_id) if (subject, of_page) == (_subject(call, query), number) else None
