"""Pagination links: documented page numbers, and signed cursors for deep pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from dragoman.rules import crypto
from dragoman.rules.errors import NotFound
from dragoman.web.calls import Call
from dragoman.web.headers import HOST_SCOPE_KEY, url_on_host

CURSOR_PARAM = "after"
CURSOR_THRESHOLD = 1000
"""Offset from which `next` links carry a cursor; below it, skipping rows costs little."""

_CursorPayload = tuple[str, int, Any, int]


class NoSuchPage(NotFound):
    """The list has no page with this number."""


def query_params(call: Call) -> dict[str, str]:
    """Return the query parameters; the last one of a repeated name wins.

    They are UTF-8, raw or percent-encoded; what is not becomes U+FFFD.
    """
    text: str = call.request.scope["query_string"].decode("utf-8", "replace")
    pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
    return {key: value.replace("\x00", "\ufffd") for key, value in pairs}


def page_url(call: Call, query: dict[str, str], **overrides: str | None) -> str:
    """Return the URL of this list with other query parameters; None removes one."""
    merged = {**query, **overrides}
    kept = sorted((key, value) for key, value in merged.items() if value is not None)
    host = call.request.scope.get(HOST_SCOPE_KEY, "")
    base = url_on_host(call.directory.settings.public_url, host) + call.path
    return f"{base}?{urlencode(kept)}" if kept else base


def _cursor_subject(call: Call, query: dict[str, str]) -> str:
    kept = sorted((k, v) for k, v in query.items() if k not in {CURSOR_PARAM, "page", "offset"})
    return f"{call.contract.name}{call.path.rstrip('/')}?{urlencode(kept)}"


def sign_cursor(
    call: Call, query: dict[str, str], page_or_offset: int, cursor: tuple[Any, int]
) -> str:
    """Return a signed cursor, valid for one page of this list with these parameters.

    Args:
        call: the request for the list.
        query: the query parameters.
        page_or_offset: the page number or offset to which the cursor leads.
        cursor: the sort key and id of the row before it.
    """
    payload = msgspec.json.encode([_cursor_subject(call, query), page_or_offset, *cursor])
    return crypto.sign(call.directory.server_key, "position", payload)


def read_cursor(call: Call, query: dict[str, str], page_or_offset: int) -> tuple[Any, int] | None:
    """Return the cursor in the query: sort key and id of a row; None if it is not for this page."""
    payload = crypto.unsign(call.directory.server_key, "position", query.get(CURSOR_PARAM, ""))
    if payload is None:
        return None
    subject, signed_for, key, row_id = msgspec.json.decode(payload, type=_CursorPayload)
    return (
        (key, row_id)
        if (subject, signed_for) == (_cursor_subject(call, query), page_or_offset)
        else None
    )
