"""Request bodies: one strict JSON decoder for all dialects, forms, and limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from io import BytesIO
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from dragoman.rules import strict_json
from dragoman.web.body_errors import BadRequest, NotAnObject, TooLarge, UnsupportedMedia

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 20.0
"""Maximum time for a whole body to arrive."""
MAX_CHUNKS = 4096
"""Maximum number of chunks of a body: every chunk costs the same work, however small it is."""
MAX_FIELDS = 1000
"""Maximum number of fields of a form."""

_MALFORMED_FORM = "malformed form"

BINARY = b""
"""The value of a file in a form: no string, so that a field that wants one rejects it."""

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data"


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body.

    Raises:
        TooLarge: it is longer than ``max_bytes``.
        BadRequest: it takes longer than ``BODY_TIMEOUT_S``, arrives in more than ``MAX_CHUNKS``
            chunks, or is incomplete.
        UnsupportedMedia: it is compressed, or its Content-Type names a charset other than UTF-8.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > max_bytes):
        raise TooLarge(max_bytes)
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedMedia(coding[:40])
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge(max_bytes)
                chunks.append(chunk)
                if len(chunks) > MAX_CHUNKS:
                    raise BadRequest(f"more than {MAX_CHUNKS} chunks")
    except TimeoutError:
        raise BadRequest("timeout while reading the body") from None
    except ClientDisconnect:
        raise BadRequest("incomplete body") from None
    if chunks:
        _require_utf8(request.headers.get("content-type", ""))
    return b"".join(chunks)


def _require_utf8(content_type: str | bytes) -> None:
    """Raise UnsupportedMedia if a Content-Type names a charset other than UTF-8.

    The client must not choose the codec: some, such as ``punycode``, take quadratic time.
    """
    media_type, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8")
    if charset.strip().lower() not in {b"utf-8", b"utf8"}:
        value = media_type + b"; charset=" + charset[:40]
        raise UnsupportedMedia(value.decode("latin-1"))


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_fields(
    request: Request,
    accepted_types: tuple[str, ...] = (JSON_TYPE, FORM_TYPE, MULTIPART_TYPE),
    list_keys: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the fields of a JSON object or of a form; without a body, no fields.

    The values of a form are strings, or ``BINARY`` for a file; the last one of a repeated key wins, except for
    ``list_keys``, whose value is the list of all of them.
    Raises BadRequest, NotAnObject, UnsupportedMedia or TooLarge.
    """
    body = await read_body(request)
    if not body:
        return {}
    content_type = media_type(request)
    if content_type not in accepted_types:
        raise UnsupportedMedia(content_type)
    if content_type == JSON_TYPE:
        value = decode_json(body)
        if not isinstance(value, dict):
            raise NotAnObject(type(value).__name__)
        return value
    if content_type == FORM_TYPE:
        return _merge_pairs(_parse_form(body), list_keys)
    return _merge_pairs(await _parse_multipart(request.headers, body), list_keys)


def decode_json(body: bytes) -> Any:
    """Return the value of a JSON text, strictly (RFC 8259).

    UTF-8 only, at most 32 levels deep, no duplicate keys, no NaN or Infinity, no lone surrogates,
    no NUL, integers within 64 bits. Raises BadRequest.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("not valid UTF-8") from None
    try:
        # A byte order mark may be ignored (RFC 8259, section 8.1).
        return strict_json.decode(text.removeprefix("\ufeff"))
    except strict_json.NotStrictJson as error:
        raise BadRequest(str(error)) from None


def check_text(text: str) -> None:
    """Raise BadRequest if the text contains NUL or a lone surrogate."""
    try:
        strict_json.check_text(text)
    except strict_json.NotStrictJson as error:
        raise BadRequest(str(error)) from None


def _merge_pairs(pairs: list[tuple[str, Any]], list_keys: frozenset[str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in pairs:
        if key in list_keys:
            merged.setdefault(key, []).append(value)
        else:
            merged[key] = value
    return merged


def _parse_form(body: bytes) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(
            body.decode("utf-8"),  # raw or percent-encoded, even mixed in one value
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise BadRequest(_MALFORMED_FORM) from None
    for key, value in pairs:
        check_text(key)
        check_text(value)
    return pairs


class _Utf8MultiPartParser(MultiPartParser):
    """Starlette's parser; it refuses parts in another charset, and keeps binary parts apart."""

    def on_headers_finished(self) -> None:
        """Check the part's own headers before its data is read."""
        for name, value in self._current_part.item_headers:
            if name.lower() == b"content-type":
                _require_utf8(value)
        (self._current_part.content_disposition or b"").decode("utf-8")
        super().on_headers_finished()

    def on_part_end(self) -> None:
        """Keep a part that is not text as a file, so that it is never read as Latin-1."""
        part = self._current_part
        if part.file is None and not _is_text(part.data, part.item_headers):
            part.file = UploadFile(BytesIO())
        super().on_part_end()


def _is_text(data: bytearray, headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether a part is text: UTF-8; NUL makes it binary only if its type says so, too."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    content_type = dict(headers).get(b"content-type", b"text/plain")
    return b"\0" not in data or content_type.strip().lower().startswith(b"text/")


async def _parse_multipart(headers: Headers, body: bytes) -> list[tuple[str, Any]]:
    """Return the names and values of the parts.

    The value of a file, and of any other binary part, is ``BINARY``.
    """

    async def body_stream() -> AsyncGenerator[bytes]:
        yield body

    try:
        _, options = parse_options_header(headers.get("content-type"))
        if b"--" + options[b"boundary"] + b"--" not in body:
            raise BadRequest("incomplete form")
        parser = _Utf8MultiPartParser(headers, body_stream(), max_files=10, max_fields=MAX_FIELDS)
        form: FormData = await parser.parse()
    except (MultiPartException, ValueError, KeyError, LookupError):
        raise BadRequest(_MALFORMED_FORM) from None
    pairs: list[tuple[str, Any]] = []
    for key, value in form.multi_items():
        check_text(key)
        if isinstance(value, UploadFile):
            await value.close()
            pairs.append((key, BINARY))
        else:
            check_text(value)
            pairs.append((key, value))
    return pairs
