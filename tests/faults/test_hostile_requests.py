"""Requests that no document foresees: whatever comes in, no answer is a 5xx and none is missing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dragoman import app
from tests.support.databases import DatabaseTemplates, settings_for
from tests.support.running_app import lifespan
from tests.support.world import World

LONG = "a" * 9000
SEGMENTS = st.one_of(
    st.sampled_from(
        ["", "1", "2", "3", "0", "-1", "+1", " 1", "1.0", "1e3", "0x1", "１", "²", "٣", "9" * 19,
         "9" * 400, str(2**63 - 1), str(2**63), "1\x00", "\x00", "%00", "..", ".", "//", "me", "last",
         "null", "\ud800", "\u202e", "ﬀ", "1;2", "1?2", "1#2", "{id}", "😀", "\r\nX: 1", LONG]
    ),
    st.text(max_size=12),
)  # fmt: skip
PATHS = st.one_of(
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["", "/wiwebb", "/wiwebb//", "/WIWEBB", "/wiwebb/wiwebb"]),
            st.sampled_from(["/api/v1/users/", "/api/v1/tenants/", "/reset/", "/api/v1/auth/", "/"]),
            SEGMENTS,
            st.sampled_from(["", "/", "/activate/", "/assign-role", "/set-password/", "/x/y/z"]),
        ),
    ),
    st.sampled_from(
        ["/api/v1/auth/login/", "/api/v1/auth/registration/", "/api/v1/auth/password/change/",
         "/api/v1/auth/password/reset/", "/api/v1/auth/password/reset/confirm/", "/api/v1/auth/user/",
         "/wiwebb/openapi.json", "/wiwebb/docs", "/healthz", "/metrics", "", "*", "/:", "api/v1"]
    ),
    st.builds("/{}".format, SEGMENTS),
)  # fmt: skip
METHODS = st.one_of(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]),
    st.sampled_from(["CONNECT", "PROPFIND", "get", "", "G\x00T", "M-SEARCH", "X" * 300, "ÄÖ"]),
)
KNOWN = st.sampled_from(
    [
        (method, f"/api/v1/{path}")
        for path, methods in {
            "users/": "GET POST",
            "users/5/": "GET PUT PATCH DELETE",
            "users/5/assign-role/": "POST",
            "users/5/set-password/": "POST",
            "users/5/activate/": "POST",
            "auth/login/": "POST",
            "auth/registration/": "POST",
            "auth/user/": "GET PUT PATCH",
            "auth/password/change/": "POST",
            "auth/password/reset/": "POST",
            "auth/password/reset/confirm/": "POST",
            "tenants/": "GET POST",
            "tenants/2/": "GET PUT PATCH DELETE",
        }.items()
        for method in methods.split()
    ]
    + [("GET", "/reset/x/y"), ("POST", "/reset/x/y")]
)
ASCII = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
VALUES = st.one_of(  # as servers pass them on: percent-encoded, in ASCII
    st.sampled_from(
        [b"", b"1", b"0", b"-1", b"last", b"9" * 30, b"%00", b"%ff", b"%ff%fe", b"%ed%a0%80", b"%", b"%%",
         b"%2", b"a" * 5000, b"1e9", b"NaN", b"inf", b"true", b"'", b"-id,id", b"%E2%80%AE", b"[]", b"%25_%5C",
         b"1,2", b"%0a", b"%ef%bc%91", b"%C2%B2", b"superadmin", b"%22*%22", b"%22", b"a%20%22b", b"%F0%9F%98%80"]
    ),
    ASCII.map(str.encode),
)  # fmt: skip
NAMES = st.sampled_from(
    [b"page", b"page_size", b"search", b"role", b"tenant", b"is_active", b"ordering", b"after", b"x", b""]
)  # fmt: skip
QUERIES = st.lists(
    st.tuples(NAMES, st.sampled_from([b"=", b"", b"[]=", b"=="]), VALUES).map(b"".join), max_size=5
).map(b"&".join)
FIELDS = st.sampled_from(
    ["username", "email", "password", "role", "tenant", "is_active", "first_name", "bio", "url", "name",
     "slug", "old_password", "password1", "password2", "new_password1", "new_password2", "uid", "token"]
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["subscriber", "a@b.test", LONG, "\x00", "1" * 30, 2**63, -(2**63), 1e400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
JSON_BODIES = st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(json.dumps).map(str.encode)
PARTS = b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nx\r\n--b--\r\n'
BODIES = st.one_of(
    st.just(b""),
    JSON_BODIES,
    JSON_VALUES.map(json.dumps).map(str.encode),
    st.binary(max_size=60),
    st.tuples(JSON_BODIES, st.binary(max_size=4)).map(b"".join),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b'{"a":1,"a":2}', b'{"role":"\\ud800"}',
         b'{"tenant":1e999}', b'{"tenant":' + b"1" * 5000 + b"}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
         b"x" * 300_000, b"a=%ff&b=%00&username=%ed%a0%80", b"&" * 3000, PARTS, PARTS[:30], b"--b--",
         PARTS.replace(b"\r\n", b"\n"), PARTS.replace(b'name="username"', b'name*=utf-8\'\'%ff; filename="x"')]
    ),
)  # fmt: skip
HEADERS = st.lists(
    st.one_of(
        st.tuples(
            st.just(b"content-type"),
            st.sampled_from(
                [b"application/json", b"application/json; charset=latin-1", b"APPLICATION/JSON", b"",
                 b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b",
                 b"multipart/form-data", b"multipart/form-data; boundary=", b"text/plain", b"a/b/c;;=",
                 b"multipart/form-data; boundary=" + b"b" * 3000, b"application/json\xff", b";", b"*/*"]
            ),
        ),
        st.tuples(st.just(b"content-length"), st.sampled_from([b"0", b"-1", b"9" * 30, b"x", b"", b"1.5"])),
        st.tuples(
            st.sampled_from(
                [b"authorization", b"x-request-id", b"host", b"x-forwarded-for", b"cookie", b"accept",
                 b"if-none-match", b"range", b"content-encoding", b"x", b""]
            ),
            st.one_of(
                st.sampled_from([b"Token", b"Token a b", b"Token \xff", b"token " + b"0" * 40, b"Basic eDp5",
                                 b"*", b"::1", b"1.2.3.4, x", b"gzip", b"\x00", b"a" * 9000, b"]["]),
                st.binary(max_size=20),
            ),
        ),
    ),
    max_size=4,
)  # fmt: skip


class Hostile(msgspec.Struct, frozen=True):
    """One request as an application gets it."""

    target: tuple[str, str]
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    pieces: int
    signed_in: bool


REQUESTS = st.builds(
    Hostile,
    st.one_of(KNOWN, KNOWN, st.tuples(METHODS, PATHS)),
    QUERIES,
    HEADERS,
    BODIES,
    st.sampled_from([1, 1, 1, 3]),
    st.sampled_from([True, True, True, False]),
)
RANDOM = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def ambiguous(asked: Hostile) -> bool:
    """Say whether two servers could read this request as different ones."""
    hosts = [value for name, value in asked.headers if name == b"host"]
    return len(hosts) > 1 or asked.target[0] == "CONNECT"


async def answer(application: Any, token: str, asked: Hostile) -> tuple[int, bytes]:
    """Hand a request over; return the answer's status and body."""
    method, path = asked.target
    headers = list(asked.headers)
    if asked.signed_in:
        headers.append((b"authorization", f"Token {token}".encode()))
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": asked.query,
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    size = max(1, -(-len(asked.body) // asked.pieces))
    pieces = [asked.body[at : at + size] for at in range(0, len(asked.body), size)] or [b""]
    sent: list[Any] = []

    async def receive() -> Any:
        if not pieces:
            return {"type": "http.disconnect"}
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await application(scope, receive, send)
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert not rest[-1].get("more_body", False)
    return start["status"], b"".join(message.get("body", b"") for message in rest)


@pytest.mark.parametrize(
    ("backend", "number"),
    [
        pytest.param("sqlite", 900, marks=pytest.mark.sqlite),
        pytest.param("postgresql", 300, marks=pytest.mark.postgresql),
    ],
)
def test_nothing_makes_it_fail(
    database_templates: DatabaseTemplates, backend: str, number: int
) -> None:
    """An admin's requests, so that they get as far as possible, and a stranger's."""
    statuses: Counter[int] = Counter()
    with database_templates.seeded(backend) as (database, world), asyncio.Runner() as runner:
        application = app.create(settings_for(database))
        stack = AsyncExitStack()
        runner.run(_enter(stack, application))

        @settings(RANDOM, max_examples=number)
        @given(REQUESTS)
        def try_out(asked: Hostile) -> None:
            status, body = runner.run(answer(application, _token(world), asked))
            statuses[status] += 1
            assert status < 500, body
            method, path = asked.target
            if ambiguous(asked):
                assert (status, body) == (400, b""), "the door refuses it, whoever it is for"
            elif method != "HEAD" and path.startswith(("/api/v1", "/wiwebb/api/v1")):
                assert body == b"" if status == 204 else isinstance(json.loads(body), dict)

        try:
            try_out()
        finally:
            runner.run(stack.aclose())
    assert {200, 400, 401, 404, 405} <= statuses.keys(), statuses


def _token(world: World) -> str:
    return world.people["ada"].token


async def _enter(stack: AsyncExitStack, application: Any) -> None:
    await stack.enter_async_context(lifespan(application))
