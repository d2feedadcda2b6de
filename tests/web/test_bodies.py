"""Bodies: one strict JSON decoder, forms, multipart, and limits of size and time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from dragoman.rules.errors import DirectoryError
from dragoman.web import bodies
from dragoman.web.body_errors import BadRequest, NotAnObject, TooLarge, UnsupportedMedia


def request(
    body: bytes | list[bytes] | Callable[[], Awaitable[dict[str, Any]]],
    content_type: str | None = "application/json",
    **headers: str,
) -> Request:
    """Return a request as an ASGI server passes it on, with its body in one chunk or in several."""
    raw = [(name.replace("_", "-").encode(), v.encode("latin-1")) for name, v in headers.items()]
    if content_type is not None:
        raw.append((b"content-type", content_type.encode("latin-1")))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": raw,
    }
    if callable(body):
        return Request(scope, body)
    chunks = [body] if isinstance(body, bytes) else body
    messages = iter(
        {"type": "http.request", "body": chunk, "more_body": n + 1 < len(chunks)}
        for n, chunk in enumerate(chunks)
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    return Request(scope, receive)


# --------------------------------------------------------------------------- JSON

GOOD: list[tuple[bytes, Any]] = [
    (b"{}", {}),
    (b' [1, 2.5, true, false, null, "x"]\r\n\t ', [1, 2.5, True, False, None, "x"]),
    (b"9223372036854775807", 2**63 - 1),
    (b"-9223372036854775808", -(2**63)),
    (b"-0", 0),
    (b"1e3", 1000.0),
    (b"1.7976931348623157e308", 1.7976931348623157e308),
    (b"[" * 32 + b"]" * 32, None),
    (b'{"a":' * 31 + b"[]" + b"}" * 31, None),
    (b'"' + b"[{" * 5000 + b'"', "[{" * 5000),
    (b'"\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', '"' + "[" * 40),
    (b'"\\\\"', "\\"),
    ('"é中😀"'.encode(), "é中😀"),
    (b'"\\u00e9\\ud83d\\ude00"', "é😀"),
    (b'{"a": {"a": 1}, "b": {"a": 2}}', {"a": {"a": 1}, "b": {"a": 2}}),
    (b'"\\u0001"', "\x01"),  # fields may reject control characters, the decoder does not
    (b'{"": 0}', {"": 0}),
    (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),  # a byte order mark is passed over (RFC 8259, 8.1)
]

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "white space": b"  ",
    "a word": b"nope",
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "a byte order mark inside": b"{\xef\xbb\xbf}",
    "only a byte order mark": b"\xef\xbb\xbf",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32-le"),
    "Latin-1": b'"\xe9"',
    "overlong": b'"\xc0\xaf"',
    "an encoded surrogate": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "cut off": b'{"a": "\xc3',
    "a key twice": b'{"a": 1, "a": 1}',
    "a key twice, escaped": b'{"a": 1, "\\u0061": 1}',
    "a key twice, deep": b'[{"b": {"a": 1, "c": 0, "a": 2}}]',
    "NaN": b"NaN",
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b"[-Infinity]",
    "infinite by its digits": b"1e999",
    "minus infinite by its digits": b'{"a": -1e400}',
    "beyond 64 bits": b"9223372036854775808",
    "below 64 bits": b"-9223372036854775809",
    "an endless number": b"1" * 5000,
    "an endless negative number": b"-" + b"9" * 100_000,
    "a lone high surrogate": b'"\\ud800"',
    "a lone low surrogate": b'"\\udc00 x"',
    "surrogates the wrong way round": b'"\\ude00\\ud83d"',
    "a lone surrogate as a key": b'{"\\ud800": 1}',
    "a lone surrogate, deep": b'[[{"a": ["\\uDFFF"]}]]',
    "NUL": b'"a\\u0000"',
    "NUL as a key": b'{"\\u0000": 1}',
    "NUL as it is": b'"\x00"',
    "NUL outside": b"{}\x00",
    "a newline in a text": b'"a\nb"',
    "33 levels": b"[" * 33 + b"]" * 33,
    "33 levels of objects": b'{"a":' * 33 + b"1" + b"}" * 33,
    "levels never closed": b"[" * 100_000,
    "objects never closed": b'{"a":' * 50_000,
    "closed more than opened": b"[" * 20 + b"]" * 40,
    "a comma too many": b"[1,]",
    "a comma too many in an object": b'{"a": 1,}',
    "a comment": b"{} // no",
    "single quotes": b"{'a': 1}",
    "a bare key": b"{a: 1}",
    "two values": b"{}{}",
    "a leading zero": b"01",
    "a leading plus": b"+1",
    "hexadecimal": b"0x10",
    "a bare point": b"1.",
    "an unknown escape": b'"\\x41"',
    "an unfinished escape": b'"\\u12"',
    "an unfinished text": b'"abc',
    "a backslash at the end": b'"abc\\',
    "digits of another script": '"a": ١'.encode(),
    "white space of another kind": "{}\u00a0".encode(),
}


class TestJson:
    @pytest.mark.parametrize(("body", "value"), GOOD, ids=lambda part: repr(part)[:20])
    def test_what_is_read(self, body: bytes, value: Any):
        assert bodies.decode_json(body) == (json.loads(body) if value is None else value)

    @pytest.mark.parametrize("what", HOSTILE)
    def test_what_is_refused(self, what: str):
        with pytest.raises(BadRequest) as raised:
            bodies.decode_json(HOSTILE[what])
        assert raised.value.message
        assert "\n" not in raised.value.message

    def test_messages_do_not_quote_the_body(self):
        for body in (
            b'{"password": "hunter2" nope}',
            b'["hunter2", NaN]',
            b'{"hunter2":1,"hunter2":2}',
        ):
            with pytest.raises(BadRequest) as raised:
                bodies.decode_json(body)
            assert "hunter2" not in raised.value.message

    @pytest.mark.parametrize(
        "body",
        [
            b'"' + b"\\" * 24_000 + b'"',
            b'"' + b"\\" * 24_001,
            b'["' + b'","' * 8_000 + b'"]',
            b'"' * 24_001,
            b"[" * 24_000,
            b'{"a":"' + b'\\"' * 12_000,
            b'"\\\n' * 6_000,
        ],
        ids=range(7),
    )
    def test_decoding_takes_linear_time(self, body: bytes):
        """With a tenth of the largest body: quadratic time would be a minute for the largest one."""
        began = time.process_time()
        with contextlib.suppress(BadRequest):
            bodies.decode_json(body)
        assert time.process_time() - began < 0.2


def as_python(body: bytes) -> Any:
    """Return the result of Python's own parser. Raises ValueError."""
    return json.loads(body.decode("utf-8"), parse_constant=_refuse)


def _refuse(_: str) -> None:
    raise ValueError


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=()), max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)
DAMAGE = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), max_size=2)
PIECES = st.lists(
    st.sampled_from(
        [
            b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"b"', b"1", b"-", b"e9", b".5",
            b"\\u0061", b"\\ud800", b"\\u0000", b"null", b"true", b"NaN", b" ", b"\\", b"\xff",
            b"\xc3\xa9",
        ]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


def _damaged(value: Any, damage: list[tuple[int, bytes]], ascii_only: bool) -> bytes:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    for at, what in damage:
        body = body[: at % (len(body) + 1)] + what + body[at % (len(body) + 1) :]
    return body


BODIES = st.builds(_damaged, VALUES, DAMAGE, st.booleans()) | PIECES | st.binary(max_size=40)


def is_strict(value: Any, depth: int = 1) -> bool:
    """Return whether a value is within the decoder's limits."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return math.isfinite(value)
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return depth <= 32 and all(is_strict(part, depth + 1) for part in parts)


@settings(max_examples=600, deadline=None)
@given(BODIES)
@example(b"[" * 40 + b'"' + b"]" * 40)
@example(b'\\"[[[[[[')
def test_the_decoder_agrees_with_python_or_refuses(body: bytes):
    try:
        value = bodies.decode_json(body)
    except BadRequest:
        value = None
        refused = True
    else:
        refused = False
    try:
        plain = as_python(body)
    except (ValueError, RecursionError):
        assert refused
        return
    if refused:
        assert not is_strict(plain) or _has_duplicate_keys(body)
    else:
        assert json.dumps(value) == json.dumps(plain)
        assert is_strict(value)


def _has_duplicate_keys(body: bytes) -> bool:
    found: list[bool] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        found.append(len(made) != len(pairs))
        return made

    json.loads(body.decode(), object_pairs_hook=look)
    return any(found)


# --------------------------------------------------------------------------- fields


@pytest.mark.anyio
class TestFields:
    async def test_an_object(self):
        assert await bodies.read_fields(request(b'{"a": [1]}')) == {"a": [1]}

    @pytest.mark.parametrize(
        "content_type",
        ["application/json", "Application/JSON; charset=utf-8", " application/json ;x=y"],
    )
    async def test_media_type_parameters_are_ignored(self, content_type: str):
        assert await bodies.read_fields(request(b"{}", content_type)) == {}

    @pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/jsonx", "json"])
    async def test_unsupported_media_types(self, content_type: str | None):
        with pytest.raises(UnsupportedMedia) as raised:
            await bodies.read_fields(request(b"{}", content_type))
        assert raised.value.media_type == (content_type or "")

    @pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
    async def test_no_body_has_no_fields(self, content_type: str | None):
        assert await bodies.read_fields(request(b"", content_type)) == {}

    @pytest.mark.parametrize(
        ("body", "kind"),
        [(b"[]", "list"), (b'"x"', "str"), (b"1", "int"), (b"null", "NoneType"), (b"true", "bool")],
    )
    async def test_other_values_than_objects(self, body: bytes, kind: str):
        with pytest.raises(NotAnObject) as raised:
            await bodies.read_fields(request(body))
        assert raised.value.type_name == kind

    async def test_a_media_type_that_the_contract_does_not_accept(self):
        with pytest.raises(UnsupportedMedia):
            await bodies.read_fields(request(b"a=1", bodies.FORM_TYPE), (bodies.JSON_TYPE,))


@pytest.mark.anyio
class TestForms:
    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            (b"a=1&b=2", {"a": "1", "b": "2"}),
            (b"a=1&a=2", {"a": "2"}),
            (b"a=&b", {"a": "", "b": ""}),
            (b"a=x+y%20z%2B", {"a": "x y z+"}),
            (b"n%C3%A4me=%E4%B8%AD", {"näme": "中"}),
            (b"a=%zz", {"a": "%zz"}),
            (b"&&", {}),
            (b"a=b=c", {"a": "b=c"}),
            ("a=jörg&näme=中".encode(), {"a": "jörg", "näme": "中"}),
            ("a=j%C3%B6rg+ö".encode(), {"a": "jörg ö"}),
        ],
    )
    async def test_what_is_read(self, body: bytes, fields: dict[str, str]):
        assert await bodies.read_fields(request(body, bodies.FORM_TYPE)) == fields

    @pytest.mark.parametrize(
        "body",
        [
            b"a=%ff",
            b"a=%ed%a0%80",
            b"%ff=a",
            b"a=%00",
            b"a=\xe9",
            b"a=\xed\xa0\x80",
            b"a=\x00",
            "a=é".encode("utf-16"),
            b"&".join(b"a%d=1" % n for n in range(1001)),
        ],
        ids=range(9),
    )
    async def test_what_is_refused(self, body: bytes):
        with pytest.raises(BadRequest):
            await bodies.read_fields(request(body, bodies.FORM_TYPE))


def multipart(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def part(value: bytes, name: bytes = b'name="a"', *more: bytes) -> bytes:
    lines = [b"Content-Disposition: form-data; " + name, *more, b"", value]
    return b"\r\n".join(lines)


TYPE = "multipart/form-data; boundary=x"


@pytest.mark.anyio
class TestMultipart:
    async def test_texts(self):
        body = multipart(part(b"1"), part("é中\r\n".encode(), b'name="b"'), part(b"2"))
        assert await bodies.read_fields(request(body, TYPE)) == {"a": "2", "b": "é中\r\n"}

    async def test_a_file_is_not_a_string(self):
        body = multipart(part(b"data", b'name="a"; filename="x.txt"', b"Content-Type: text/plain"))
        assert await bodies.read_fields(request(body, TYPE)) == {"a": bodies.BINARY}

    @pytest.mark.parametrize(
        ("name", "content_type"),
        [
            (b'name="b"; filename="x.png"', b"Content-Type: image/png"),
            (b'name="b"; filename="x.png"', b"X: y"),
            (b'name="b"', b"Content-Type: image/png"),
            (b'name="b"', b"X: y"),
        ],
    )
    @pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\xff\xd8", b"\0\0\1"])
    async def test_a_picture_beside_texts(self, name: bytes, content_type: bytes, data: bytes):
        """Whatever field it is for: a field that wants a string rejects it, others ignore it."""
        body = request(multipart(part(data, name, content_type), part("é".encode())), TYPE)
        if b"PNG" not in data and content_type == b"X: y" and b"filename" not in name:
            with pytest.raises(BadRequest):
                await bodies.read_fields(body)
        else:
            assert await bodies.read_fields(body) == {"b": bodies.BINARY, "a": "é"}

    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=other",
            "multipart/form-data; boundary=" + "y" * 300,
            "multipart/form-data; boundary=é",
        ],
    )
    async def test_a_malformed_content_type_is_not_a_bug(self, content_type: str):
        with contextlib.suppress(BadRequest):
            found = await bodies.read_fields(request(multipart(part(b"1")), content_type))
            assert found in ({"a": "1"}, {})

    @pytest.mark.parametrize(
        "body",
        {
            "no name": multipart(part(b"1", b"x=y")),
            "no disposition": multipart(b"X: y\r\n\r\n1"),
            "no header": multipart(b"nonsense"),
            "NUL": multipart(part(b"a\0b")),
            "NUL in a name": multipart(part(b"1", b'name="\0"')),
            "a preamble": b"preamble " + multipart(part(b"1")),
            "too many fields": multipart(*[part(b"1")] * 1001),
            "too many files": multipart(*[part(b"1", b'name="a"; filename="b"')] * 11),
        }.items(),
        ids=lambda item: item[0],
    )
    async def test_what_is_refused(self, body: tuple[str, bytes]):
        with pytest.raises(BadRequest):
            await bodies.read_fields(request(body[1], TYPE))

    async def test_other_encodings_than_utf_8_are_rejected(self):
        """As in JSON and in forms: Latin-1 is never assumed."""
        found = await bodies.read_fields(request(multipart(part(b"\xff\xe9")), TYPE))
        assert found == {"a": bodies.BINARY}
        with pytest.raises(BadRequest):
            body = multipart(part(b"1", b'name="\xe9"'))
            await bodies.read_fields(request(body, TYPE))

    async def test_an_incomplete_form_is_rejected(self):
        whole = multipart(part(b"one"), part(b"two", b'name="b"'))
        for end in (len(whole) // 2, len(whole) - 12):
            with pytest.raises(BadRequest):
                await bodies.read_fields(request(whole[:end], TYPE))

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20))
    def test_any_body_is_parsed_or_rejected(self, value: bytes, name: bytes, tail: bytes):
        body = multipart(part(value, b'name="' + name + b'"'), end=tail)
        with contextlib.suppress(DirectoryError):
            found = asyncio.run(bodies.read_fields(request(body, TYPE)))
            assert all(is_strict(key) and is_strict(text) for key, text in found.items())


# --------------------------------------------------------------------------- limits


@pytest.mark.anyio
class TestLimits:
    async def test_the_maximum_size(self):
        body = b'"' + b"x" * (bodies.MAX_BODY_BYTES - 2) + b'"'
        assert len(await bodies.read_body(request(body))) == bodies.MAX_BODY_BYTES == 256 * 1024

    async def test_a_byte_too_many(self):
        with pytest.raises(TooLarge) as raised:
            await bodies.read_body(request(b"x" * (bodies.MAX_BODY_BYTES + 1)))
        assert raised.value.limit == bodies.MAX_BODY_BYTES

    async def test_too_large_without_content_length(self):
        with pytest.raises(TooLarge):
            await bodies.read_body(request([b"x" * 1000] * 263))

    async def test_a_too_large_content_length_is_rejected_unread(self):
        async def never() -> dict[str, Any]:
            raise AssertionError("was read")

        with pytest.raises(TooLarge):
            await bodies.read_body(request(never, content_length=str(bodies.MAX_BODY_BYTES + 1)))

    async def test_a_body_longer_than_its_content_length(self):
        with pytest.raises(TooLarge):
            await bodies.read_body(
                request([b"x" * bodies.MAX_BODY_BYTES, b"x"], content_length="5")
            )

    @pytest.mark.parametrize("length", ["²", "-1", "1e3", "9" * 5000, "", " 5", "0x5", "five"])
    async def test_a_malformed_content_length_is_not_a_bug(self, length: str):
        with contextlib.suppress(BadRequest, TooLarge):
            assert await bodies.read_body(request(b"{}", content_length=length)) == b"{}"

    async def test_another_limit(self):
        assert len(await bodies.read_body(request(b"x" * 300_000), 400_000)) == 300_000

    async def test_the_timeout_for_slow_clients(self, short_timeout: None):
        async def forever() -> dict[str, Any]:
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": b"x", "more_body": True}

        with pytest.raises(BadRequest):
            await asyncio.wait_for(bodies.read_body(request(forever)), 2)

    @pytest.fixture
    def short_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.1)

    async def test_a_client_that_disconnects(self):
        async def disconnect() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        with pytest.raises(BadRequest, match="incomplete body"):
            await bodies.read_body(request(disconnect))

    async def test_too_many_chunks_are_rejected(self):
        """Every chunk costs the same work, however small it is."""
        received = 0

        async def one_space() -> dict[str, Any]:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": b" ", "more_body": True}

        with pytest.raises(BadRequest):
            await bodies.read_body(request(one_space))
        assert received == bodies.MAX_CHUNKS + 1


# --------------------------------------------------------------------------- charsets

PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="username"\r\n'
    b"Content-Type: text/plain; charset=%s\r\n\r\nmia\r\n--x--\r\n"
)


@pytest.mark.anyio
@pytest.mark.parametrize("charset", ["punycode", "utf-16", "latin-1", "idna", "zlib", "x" * 300])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"username": "mia"}'),
        ("application/x-www-form-urlencoded", b"username=mia"),
        ("multipart/form-data; boundary=x", PARTS % b"utf-8"),
    ],
)
async def test_the_client_does_not_choose_the_codec(charset: str, content_type: str, body: bytes):
    with pytest.raises(UnsupportedMedia) as refused:
        await bodies.read_fields(request(body, f"{content_type}; charset={charset}"))
    assert len(refused.value.media_type) < 100


@pytest.mark.anyio
async def test_nor_does_a_part_of_a_form():
    form = "multipart/form-data; boundary=x; charset=UTF-8"
    assert await bodies.read_fields(request(PARTS % b"UTF-8", form)) == {"username": "mia"}
    with pytest.raises(UnsupportedMedia):
        await bodies.read_fields(request(PARTS % b"punycode", form))


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_refused_before_it_is_read(coding: str):
    async def receive() -> dict[str, Any]:
        raise AssertionError("was read")

    with pytest.raises(UnsupportedMedia):
        await bodies.read_fields(request(receive, content_encoding=coding))


@pytest.mark.anyio
async def test_a_body_that_is_encoded_as_itself_is_read():
    assert await bodies.read_fields(request(b'{"a": 1}', content_encoding="identity")) == {"a": 1}
