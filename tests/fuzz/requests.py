"""Requests out of a contract's document, with hostile values in every place that takes any."""

from __future__ import annotations

import encodings.aliases
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from hypothesis import strategies as st

from tests.fuzz.hostile_values import (
    ADDRESSES,
    ANYTHING,
    HOSTILE,
    IDS,
    PRIVILEGED,
    VALUES,
    malformed_json,
    valid_values,
)
from tests.support.openapi import JSON, Operation
from tests.support.world import World

ACTORS = ("root", "olga", "mia", "vic")
CALLERS = (*ACTORS, "olga", "olga", "nobody")
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "x1x"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
CHARSETS = sorted({*encodings.aliases.aliases.values(), "punycode", "idna", "x", ""})
NOT_ON_ACTORS = ("DELETE", "assign-role", "activate")
"""What is not done to those who ask: they must go on asking, in their own roles."""


class FuzzRequest(msgspec.Struct, frozen=True):
    """A request as an application gets it; ``given`` is what stands in the path's braces."""

    operation: Operation
    who: str
    path_value: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_query_raw: bool = False

    @property
    def query_string(self) -> bytes:
        """The query, percent-encoded or as raw UTF-8."""
        if not self.is_query_raw:
            return urlencode(self.query, errors="surrogatepass").encode()
        pairs = (f"{name}={value}" for name, value in self.query)
        return "&".join(pairs).encode("utf-8", "surrogatepass")

    @property
    def path(self) -> str:
        """The path, not encoded."""
        before, brace, rest = self.operation.path.partition("{")
        filled = before + self.path_value + rest.partition("}")[2] if brace else before
        return f"/{self.operation.contract}{filled}"

    @property
    def may_reach_other_path(self) -> bool:
        """Say whether it may lead to another path than that of its operation."""
        braces = "{" in self.operation.path
        return braces and ("/" in self.path_value or self.path_value in {"", "me", "invitations"})

    def text(self) -> str:
        """Return everything that it says, as far as an answer may repeat it."""
        parts = [self.path, repr(self.query), self.body.decode(errors="replace")]
        return "\n".join([*parts, *(repr(value) for _, value in self.headers)])


def path_values(world: World, operation: Operation) -> list[str]:
    """Return what somebody has that a path may name: people of one's own tenant and of another."""
    spare = operation.method in NOT_ON_ACTORS or operation.path.strip("/").endswith(NOT_ON_ACTORS)
    names = [name for name in world.people if not (spare and name in ACTORS)]
    if "/tenants/" in operation.path:
        return [str(place.id) for place in world.tenants.values()]
    people = [world.people[name] for name in names]
    if operation.contract == "binacle":
        return [person.email for person in people]
    if operation.contract in {"wiwebb", "accounts"}:
        return [str(person.id) for person in people]
    prefix = "usr_" if operation.contract == "vsay" else ""
    return [prefix + person.public_id for person in people]


class DrawnValues(msgspec.Struct, frozen=True):
    """What a round's requests are made of, as hypothesis draws it; put together by dice."""

    texts: list[str]
    values: list[Any]
    raw: list[bytes]


DRAWN_VALUES = st.builds(
    DrawnValues,
    st.lists(ANYTHING, min_size=150, max_size=150),
    st.lists(VALUES, min_size=60, max_size=60),
    st.lists(st.binary(max_size=12), min_size=20, max_size=20),
)
HEADERS = [b"x-request-id", b"user-agent", b"accept", b"referer", b"accept-language", b"x-forwarded-for",
           b"cookie", b"if-none-match", b"origin", b"range", b"forwarded", b"accept-encoding",
           b"content-encoding", b"content-language", b"access-control-request-method"]  # fmt: skip


class RequestGenerator:
    """Makes requests to a contract's operations; ``there`` are values of paths by label."""

    def __init__(
        self,
        seed: int,
        drawn_values: DrawnValues,
        choice: list[Operation],
        path_values: Mapping[str, list[str]],
    ) -> None:
        self._dice = random.Random(seed)
        self._words = drawn_values
        self._choice = choice
        self._there = path_values

    def request(self) -> FuzzRequest:
        """Return the next one."""
        pick = self._dice.choice
        operation = pick(self._choice)
        given = ""
        if "{" in operation.path:
            hostile = pick([IDS, self._words.texts])
            given = pick(pick([self._there[operation.label]] * 3 + [hostile]))[:3000]
        query: list[tuple[str, str]] = []
        if operation.query or operation.method == "GET":
            names = [*operation.query, "x"]
            query = [(pick(names), self._text()) for _ in range(self._dice.randrange(4))]
        headers = [(pick(HEADERS), self._raw()) for _ in range(self._dice.randrange(3))]
        body = b""
        if operation.fields:
            content_type, body = self._body(operation)
            headers.append((b"content-type", content_type.encode()))
        is_raw = pick([False, False, True])
        return FuzzRequest(
            operation, pick(CALLERS), given, tuple(query), tuple(headers), body, is_raw
        )

    def _text(self) -> str:
        return self._dice.choice(self._dice.choice([HOSTILE, IDS, self._words.texts]))

    def _raw(self) -> bytes:
        text = self._dice.choice(HOSTILE).encode("utf-8", "surrogatepass")[:4000]
        return self._dice.choice([text, text, self._dice.choice(self._words.raw)])

    def _hostile(self, field: str) -> Any:
        pick = self._dice.choice
        texts = ADDRESSES if field == "email" else self._words.texts
        return pick(pick([texts, HOSTILE, self._words.values]))

    def _body(self, operation: Operation) -> tuple[str, bytes]:
        """Return a body: JSON with any value in a field or two, a form, or what is neither."""
        pick, fields = self._dice.choice, [None, *operation.fields]
        evil, left_out = {pick(fields), pick(fields)}, pick([None, None, pick(fields)])
        values = {
            name: self._hostile(name) if name in evil else pick(valid_values(name))
            for name in operation.fields
            if name != left_out
        }
        extra = pick([None, None, None, *PRIVILEGED])
        if extra is not None:
            values.setdefault(extra, self._hostile(extra))
        how = pick(["json", "json", "json", "raw", "form", "form", "charset", "twisted", "kind"])
        plain = json.dumps(values).encode()
        if how == "raw":
            return JSON, json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if how == "form":
            encode = pick([_form, _raw_form, _multipart])
            return (MULTIPART if encode is _multipart else FORM), encode(values)
        if how == "charset":
            content_type, body = pick(
                [(JSON, plain), (FORM, _form(values)), (MULTIPART, _multipart(values))]
            )
            return f"{content_type}; charset={pick(CHARSETS)}", body
        if how == "twisted":
            return JSON, pick(malformed_json(plain))
        if how == "kind":
            return pick(
                [
                    "text/plain",
                    "",
                    "application/xml",
                    "multipart/form-data",
                    f"{JSON}; charset=x",
                    FORM,
                ]
            ), plain
        return JSON, plain


def _form(fields: Mapping[str, Any]) -> bytes:
    pairs = [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in fields.items()
    ]
    return urlencode(pairs, errors="surrogatepass").encode()


def _raw_form(fields: Mapping[str, Any]) -> bytes:
    """Return a form in UTF-8 that is not percent-encoded."""
    pairs = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in fields.items()
    )
    return "&".join(pairs).encode("utf-8", "surrogatepass")


def _multipart(fields: Mapping[str, Any]) -> bytes:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        f"{value if isinstance(value, str) else json.dumps(value)}\r\n"
        for name, value in fields.items()
    )
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode("utf-8", "surrogatepass")


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> str:
        """Return a header, empty where it is not there."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


async def call_app(application: Any, asked: FuzzRequest, credential: str, address: str) -> Answer:
    """Hand a request to an application, as a server does, without what a client would mend."""
    headers = list(asked.headers)
    if credential:
        headers.append((b"authorization", credential.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.operation.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": quote(asked.path.encode("utf-8", "surrogatepass")).encode(),
        "root_path": "",
        "query_string": asked.query_string,
        "headers": headers,
        "client": (address, 50_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    pieces = _pieces(asked.body)
    sent: list[Any] = []

    async def receive() -> Any:
        return next(pieces, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, *rest = sent
    body = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], tuple(start["headers"]), body)


def _pieces(body: bytes) -> Iterator[Any]:
    half = len(body) // 2
    yield {"type": "http.request", "body": body[:half], "more_body": True}
    yield {"type": "http.request", "body": body[half:], "more_body": False}
