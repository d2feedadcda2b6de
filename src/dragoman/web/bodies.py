"""Bodies: one strict JSON decoder for all dialects, forms, and a limit of size and time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncGenerator, Generator
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from dragoman.web.body_errors import BadRequest, NotAnObject, TooLarge, UnsupportedMedia

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 20.0
SLOW_AFTER_S = 0.1
"""A client that has not sent its body by then is late: what it waits for is not our work."""
LOOP_TURNS = 3
"""A body that is there reaches its request within so many turns of the event loop."""
MAX_CHUNKS = 4096
"""Each piece costs the same work, however small it is; nobody sends a body in more of them."""
MAX_DEPTH = 32
MAX_FIELDS = 1000

_TOO_DEEP = f"more than {MAX_DEPTH} levels"
_UNSAFE = re.compile("[\x00\ud800-\udfff]")

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data"


class SlowBodies:
    """How many requests wait for a client that takes its time to send their bodies."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def tracked(self) -> Generator[None]:
        """Count whoever is in this block for longer than ``LATE_S``, for as long as it is.

        Not one whose body is there already, in a loop that has not come round to it.
        """
        loop = asyncio.get_running_loop()
        is_slow = False

        def on_turn(turns_left: int) -> None:
            nonlocal is_slow, handle
            if turns_left:
                handle = loop.call_soon(on_turn, turns_left - 1)
            else:
                is_slow = True
                self.count += 1

        handle: asyncio.Handle = loop.call_later(SLOW_AFTER_S, on_turn, LOOP_TURNS)
        try:
            yield
        finally:
            handle.cancel()
            self.count -= is_slow


SLOW_BODIES = SlowBodies()
"""This process's: it has one event loop."""


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body.

    Raises TooLarge beyond ``limit`` bytes; BadRequest when it takes too long, comes in more than
    ``PIECES``, or ends early.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > max_bytes):
        raise TooLarge(max_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            with SLOW_BODIES.tracked():
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > max_bytes:
                        raise TooLarge(max_bytes)
                    chunks.append(chunk)
                    if len(chunks) > MAX_CHUNKS:
                        raise BadRequest("the body came in too many pieces")
    except TimeoutError:
        raise BadRequest("the body took too long") from None
    except ClientDisconnect:
        raise BadRequest("the body ended early") from None
    return b"".join(chunks)


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_fields(
    request: Request,
    accepted_types: tuple[str, ...] = (JSON_TYPE, FORM_TYPE, MULTIPART_TYPE),
    list_keys: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the body's fields: of a JSON object, or of a form (texts; the last one wins).

    ``lists`` are keys of forms that stand for the list of all their texts. A request without a
    body has no fields. Raises BadRequest, NotAnObject, UnsupportedMedia or TooLarge.
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
        raise BadRequest("the text is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise BadRequest("the text begins with a byte order mark")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_reject_constant,
            parse_int=_parse_integer,
            parse_float=_parse_float,
        )
    except json.JSONDecodeError as error:
        raise BadRequest(f"{error.msg}: line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    _check_value(value, 0)
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise BadRequest("a key stands twice")
    return result


def _reject_constant(_: str) -> Any:
    raise BadRequest("NaN and Infinity are no JSON")


def _parse_integer(digits: str) -> int:
    if len(digits) > 20:
        raise BadRequest("a number beyond 64 bits")
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise BadRequest("a number beyond 64 bits")
    return number


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadRequest("a number beyond 64 bits")
    return number


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict | list):
        if depth == MAX_DEPTH:
            raise BadRequest(_TOO_DEEP)
        if isinstance(value, dict):
            for key in value:
                check_text(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check_value(item, depth + 1)


def check_text(text: str) -> None:
    """Raise BadRequest for a text with NUL or a lone surrogate."""
    if _UNSAFE.search(text):
        raise BadRequest("a text with NUL or a lone surrogate")


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
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise BadRequest("the form cannot be read") from None
    for key, value in pairs:
        check_text(key)
        check_text(value)
    return pairs


async def _parse_multipart(headers: Headers, body: bytes) -> list[tuple[str, Any]]:
    async def body_stream() -> AsyncGenerator[bytes]:
        yield body

    try:
        body.decode("utf-8")
        _, options = parse_options_header(headers.get("content-type"))
        if b"--" + options[b"boundary"] + b"--" not in body:
            raise BadRequest("the form was cut off")
        parser = MultiPartParser(headers, body_stream(), max_files=10, max_fields=MAX_FIELDS)
        form: FormData = await parser.parse()
    except (MultiPartException, ValueError, KeyError, LookupError):
        raise BadRequest("the form cannot be read") from None
    pairs: list[tuple[str, Any]] = []
    for key, value in form.multi_items():
        check_text(key)
        if isinstance(value, UploadFile):
            await value.close()
            pairs.append(
                (key, [value.filename])
            )  # a file is no text: the field's own check says so
        else:
            check_text(value)
            pairs.append((key, value))
    return pairs
