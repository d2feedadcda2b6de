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

LIMIT = 256 * 1024
DEADLINE_S = 20.0
LATE_S = 0.1
"""A client that has not sent its body by then is late: what it waits for is not our work."""
TURNS = 3
"""A body that is there reaches its request within so many turns of the event loop."""
PIECES = 4096
"""Each piece costs the same work, however small it is; nobody sends a body in more of them."""
DEPTH = 32
FIELDS = 1000

_TOO_DEEP = f"more than {DEPTH} levels"
_UNSAFE = re.compile("[\x00\ud800-\udfff]")

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


class Late:
    """How many requests wait for a client that takes its time to send their bodies."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def watched(self) -> Generator[None]:
        """Count whoever is in this block for longer than ``LATE_S``, for as long as it is.

        Not one whose body is there already, in a loop that has not come round to it.
        """
        loop = asyncio.get_running_loop()
        late = False

        def turn(left: int) -> None:
            nonlocal late, waiting
            if left:
                waiting = loop.call_soon(turn, left - 1)
            else:
                late = True
                self.count += 1

        waiting: asyncio.Handle = loop.call_later(LATE_S, turn, TURNS)
        try:
            yield
        finally:
            waiting.cancel()
            self.count -= late


LATE = Late()
"""This process's: it has one event loop."""


async def raw(request: Request, limit: int = LIMIT) -> bytes:
    """Return the body.

    Raises TooLarge beyond ``limit`` bytes; BadRequest when it takes too long, comes in more than
    ``PIECES``, or ends early.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > limit):
        raise TooLarge(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(DEADLINE_S):
            with LATE.watched():
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise TooLarge(limit)
                    chunks.append(chunk)
                    if len(chunks) > PIECES:
                        raise BadRequest("the body came in too many pieces")
    except TimeoutError:
        raise BadRequest("the body took too long") from None
    except ClientDisconnect:
        raise BadRequest("the body ended early") from None
    return b"".join(chunks)


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def fields(
    request: Request,
    accepted: tuple[str, ...] = (JSON, FORM, MULTIPART),
    lists: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the body's fields: of a JSON object, or of a form (texts; the last one wins).

    ``lists`` are keys of forms that stand for the list of all their texts. A request without a
    body has no fields. Raises BadRequest, NotAnObject, UnsupportedMedia or TooLarge.
    """
    body = await raw(request)
    if not body:
        return {}
    kind = media_type(request)
    if kind not in accepted:
        raise UnsupportedMedia(kind)
    if kind == JSON:
        value = decode(body)
        if not isinstance(value, dict):
            raise NotAnObject(type(value).__name__)
        return value
    if kind == FORM:
        return _together(_form(body), lists)
    return _together(await _multipart(request.headers, body), lists)


def decode(body: bytes) -> Any:
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
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as fault:
        raise BadRequest(f"{fault.msg}: line {fault.lineno} column {fault.colno}") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    _check(value, 0)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadRequest("a key stands twice")
    return made


def _no_constant(_: str) -> Any:
    raise BadRequest("NaN and Infinity are no JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise BadRequest("a number beyond 64 bits")
    number = int(digits)
    if not -(2**63) <= number < 2**63:
        raise BadRequest("a number beyond 64 bits")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise BadRequest("a number beyond 64 bits")
    return number


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict | list):
        if depth == DEPTH:
            raise BadRequest(_TOO_DEEP)
        if isinstance(value, dict):
            for key in value:
                check_text(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)


def check_text(text: str) -> None:
    """Raise BadRequest for a text with NUL or a lone surrogate."""
    if _UNSAFE.search(text):
        raise BadRequest("a text with NUL or a lone surrogate")


def _together(pairs: list[tuple[str, Any]], lists: frozenset[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in lists:
            made.setdefault(key, []).append(value)
        else:
            made[key] = value
    return made


def _form(body: bytes) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=FIELDS,
        )
    except ValueError:
        raise BadRequest("the form cannot be read") from None
    for key, value in pairs:
        check_text(key)
        check_text(value)
    return pairs


async def _multipart(headers: Headers, body: bytes) -> list[tuple[str, Any]]:
    async def once() -> AsyncGenerator[bytes]:
        yield body

    try:
        body.decode("utf-8")
        _, options = parse_options_header(headers.get("content-type"))
        if b"--" + options[b"boundary"] + b"--" not in body:
            raise BadRequest("the form was cut off")
        parser = MultiPartParser(headers, once(), max_files=10, max_fields=FIELDS)
        form: FormData = await parser.parse()
    except (MultiPartException, ValueError, KeyError, LookupError):
        raise BadRequest("the form cannot be read") from None
    made: list[tuple[str, Any]] = []
    for key, value in form.multi_items():
        check_text(key)
        if isinstance(value, UploadFile):
            await value.close()
            made.append((key, [value.filename]))  # a file is no text: the field's own check says so
        else:
            check_text(value)
            made.append((key, value))
    return made
