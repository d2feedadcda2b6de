"""A huge text, a deep one, and any charset cost a public endpoint no more than a short request.

Each is compared with the same request that has short texts: it may take at most five times the
CPU time of the process, threads included. ``make fuzz`` asks everything, on both databases.
"""

from __future__ import annotations

import asyncio
import encodings.aliases
import json
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from dragoman import app, dialects
from tests.fuzz.requests import FuzzRequest, call_app
from tests.support.databases import DatabaseTemplates, settings_for
from tests.support.openapi import Operation, operations
from tests.support.running_app import lifespan

MAX_RATIO = 5.0
LEAST_S = 0.002
"""Less CPU time than this counts as this: shorter times are noise."""
TRIES = 4
"""How often a request is repeated before it is called too expensive; the least counts."""
MAX_IN_QUERY = 6_000
"""Length of a text in a query; the server refuses a longer request line."""
SAMPLE = 25
"""How many charsets a contract is asked in ``make test``."""

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BOUNDARY = "x1x"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
CODECS = sorted({*encodings.aliases.aliases.values(), "punycode", "idna", "undefined"})
MARKS = "a" + "\u0315" * 30_000 + "\u0316" * 30_000
TEXTS = {
    "combining marks": MARKS,
    "ascii": "a" * 120_000,
    "address": "a" * 60_000 + "@" + "b." * 30_000 + "example",
    "words": "a b " * 30_000,
    "decompositions": "\ufdfa" * 40_000,
}


class Attack(msgspec.Struct, frozen=True):
    """A hostile request, and the same with short texts."""

    name: str
    hostile: FuzzRequest
    short: FuzzRequest


def _request(
    operation: Operation,
    *,
    query: tuple[tuple[str, str], ...] = (),
    content_type: str = "",
    body: bytes = b"",
) -> FuzzRequest:
    headers = ((b"content-type", content_type.encode()),) if content_type else ()
    return FuzzRequest(operation, "nobody", "nothing", query, headers, body)


def _body(operation: Operation, content_type: str, field: str, value: str) -> bytes:
    values = dict.fromkeys(operation.fields, "a") | ({field: value} if field else {})
    if content_type.startswith(JSON):
        return json.dumps(values).encode()
    if content_type.startswith(FORM):
        return urlencode(values).encode()
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in values.items()
    )
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


def long_texts(operation: Operation) -> Iterator[Attack]:
    """Yield every long text in every field and every parameter of an operation."""
    for name, text in TEXTS.items():
        for field in operation.fields:
            for content_type in (JSON, FORM, MULTIPART):
                yield Attack(
                    f"{operation.label} {field} {name} {content_type}",
                    _request(operation, content_type=content_type,
                             body=_body(operation, content_type, field, text)),
                    _request(operation, content_type=content_type,
                             body=_body(operation, content_type, field, "a")),
                )  # fmt: skip
        for parameter in operation.query:
            yield Attack(
                f"{operation.label}?{parameter} {name}",
                _request(operation, query=((parameter, text[:MAX_IN_QUERY]),)),
                _request(operation, query=((parameter, "a"),)),
            )


def deep_bodies(operation: Operation) -> Iterator[Attack]:
    """Yield JSON that is nested 60,000 deep, as the body and in a field."""
    if not operation.fields:
        return
    deep = b"[" * 60_000 + b"]" * 60_000
    short = _request(operation, content_type=JSON, body=_body(operation, JSON, "", ""))
    for name, body in {
        "deep": deep,
        "deep objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
        "deep field": b'{"%s":%s}' % (operation.fields[0].encode(), deep),
    }.items():
        hostile = _request(operation, content_type=JSON, body=body)
        yield Attack(f"{operation.label} {name}", hostile, short)


def charsets(operation: Operation) -> Iterator[Attack]:
    """Yield a body in every codec that Python has, in the header and in a part of a form."""
    if not operation.fields:
        return
    value = "x" * 120_000 + "-" + "a" * 120_000
    for codec in CODECS:
        for content_type in (JSON, FORM, MULTIPART):
            body = _body(operation, content_type, operation.fields[0], value)
            typed = f"{content_type}; charset={codec}"
            yield Attack(
                f"{operation.label} {typed}",
                _request(operation, content_type=typed, body=body),
                _request(operation, content_type=content_type, body=body),
            )
        part = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{operation.fields[0]}"\r\n'
            f"Content-Type: text/plain; charset={codec}\r\n\r\n{value}\r\n--{BOUNDARY}--\r\n"
        )
        yield Attack(
            f"{operation.label} part in {codec}",
            _request(operation, content_type=MULTIPART, body=part.encode()),
            _request(operation, content_type=MULTIPART,
                     body=_body(operation, MULTIPART, operation.fields[0], value)),
        )  # fmt: skip


class Meter:
    """Runs an application and measures the CPU time that each request takes."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._cpu_s = 0.0
        self._requests = 0

    async def _measured(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.process_time()
        await self._application(scope, receive, send)
        self._cpu_s = time.process_time() - began

    async def cpu_s(self, asked: FuzzRequest) -> float:
        """Return the CPU time of one request in seconds."""
        self._requests += 1
        address = (
            f"10.{self._requests // 62_500}.{self._requests // 250 % 250}.{self._requests % 250}"
        )
        answer = await call_app(self._measured, asked, "", address)
        assert answer.status < 500, (asked.operation.label, answer)
        return self._cpu_s

    async def is_too_expensive(self, attack: Attack) -> str:
        """Return what is wrong with the cost of an attack, empty if nothing is."""
        hostile = short = 0.0
        for attempt in range(TRIES):
            measured = await self.cpu_s(attack.hostile)
            hostile = min(hostile, measured) if attempt else measured
            if hostile <= LEAST_S * MAX_RATIO:
                return ""
            short = max(short, await self.cpu_s(attack.short))
            if hostile <= max(short, LEAST_S) * MAX_RATIO:
                return ""
        return f"{attack.name}: {hostile:.4f} s of CPU time instead of {short:.4f}"


@pytest.fixture
def is_full_run(request_count: int) -> bool:
    """Whether everything is asked, as by ``make fuzz``."""
    return request_count > 50_000


@pytest.mark.parametrize("contract", dialects.NAMES)
def test_public_endpoints_do_bounded_work(
    database_templates: DatabaseTemplates, contract: str, seed: int, *, is_full_run: bool
) -> None:
    """Every text field and parameter of every endpoint that asks for no credential."""
    public = [operation for operation in operations(contract) if not operation.needs_credential]
    assert public
    attacks = [attack for each in public for attack in (*long_texts(each), *deep_bodies(each))]
    encoded = [attack for each in public for attack in charsets(each)]
    dice = random.Random(seed)
    attacks += encoded if is_full_run else dice.sample(encoded, min(SAMPLE, len(encoded)))
    backends = ("sqlite", "postgresql") if is_full_run else ("sqlite",)
    for backend in backends:
        with database_templates.seeded(backend) as (database, _):
            assert asyncio.run(_expensive(database, attacks)) == []


async def _expensive(database: str, attacks: list[Attack]) -> list[str]:
    application = app.create(settings_for(database))
    async with lifespan(application):
        meter = Meter(application)
        for attack in attacks[:3]:
            await meter.cpu_s(attack.short)  # what is imported and compiled late costs nothing
        return [problem for each in attacks if (problem := await meter.is_too_expensive(each))]


def test_the_meter_sees_work_that_grows() -> None:
    """A text whose cost is not bounded is found."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        began = time.process_time()
        while len(message["body"]) > 1000 and time.process_time() - began < LEAST_S * 20:
            pass
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    operation = next(each for each in operations(dialects.NAMES[0]) if not each.needs_credential)
    attack = next(iter(long_texts(operation)))
    assert "of CPU time" in asyncio.run(Meter(slow).is_too_expensive(attack))
