"""Secrets: credentials nobody guesses, digests, signatures and seals that hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.rules import secrets

KEY, OTHER = b"k" * 32, b"o" * 32
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))
Close = Callable[[bytes, str, bytes], str]
Open = Callable[[bytes, str, str], bytes | None]
PARTS = st.lists(st.integers() | ANYTHING, max_size=4)


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (secrets.make_hex, "[0-9a-f]{40}"),
        (secrets.make_urlsafe, "[A-Za-z0-9_-]{43}"),
        (secrets.make_public_id, f"[{secrets.READABLE}]{{17}}"),
        (secrets.make_password, f"[{secrets.READABLE}]{{24}}"),
    ],
)
def test_credentials_have_their_form_and_never_repeat(make: Callable[[], str], form: str):
    made = {make() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(form, one) for one in made)
    assert set("".join(made)) >= set("456789abcdef")


def test_lengths_are_the_callers():
    assert len(secrets.make_hex(32)) == 64
    assert len(secrets.make_urlsafe(20)) == 20


def test_the_alphabet_of_ids_is_meteors():
    assert secrets.READABLE == "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
    assert not set("01IOUVl") & set(secrets.READABLE)


def test_passwords_have_both_cases_and_a_digit():
    for _ in range(200):
        password = secrets.make_password()
        assert re.search("[a-z]", password)
        assert re.search("[A-Z]", password)
        assert re.search("[2-9]", password)


def test_digest_is_sha256():
    assert secrets.digest("abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert secrets.digest("ü") == hashlib.sha256(b"\xc3\xbc").digest()


def test_surrogates_have_a_digest_that_no_text_has():
    for replaced in ("a?", "a\ufffd", "a", "a\\ud800"):
        assert secrets.digest("a\ud800") != secrets.digest(replaced)


@given(ANYTHING)
def test_digest_never_raises(text: str):
    assert len(secrets.digest(text)) == 32


@given(ANYTHING, ANYTHING)
def test_same_is_equality(a: str, b: str):
    assert secrets.same(a, b) == (a == b)
    assert secrets.same(a, a)


def test_same_takes_bytes():
    assert secrets.same(b"ab", b"ab")
    assert not secrets.same(b"ab", b"abc")
    assert secrets.same("ü", "ü".encode())


def test_derive_is_stable():
    made = secrets.derive(KEY, "reset", 7, "x")
    assert made == secrets.derive(KEY, "reset", 7, "x")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", made)


def test_derive_tells_everything_apart():
    asked: list[tuple[bytes, str, *tuple[int | str, ...]]] = [
        (KEY, "reset", 1, 23),
        (KEY, "reset", 12, 3),
        (KEY, "reset", 123),
        (KEY, "reset", "1", 23),
        (KEY, "reset", "1", "23"),
        (KEY, "reset", "12", "3"),
        (KEY, "reset", "123", ""),
        (KEY, "reset", "", "123"),
        (KEY, "reset"),
        (KEY, "reset", ""),
        (KEY, "invite", 1, 23),
        (KEY, "", "reset"),
        (OTHER, "reset", 1, 23),
    ]
    assert len({secrets.derive(*one) for one in asked}) == len(asked)


@given(PARTS, PARTS)
def test_derive_is_unambiguous(a: list[int | str], b: list[int | str]):
    alike = secrets.derive(KEY, "p", *a) == secrets.derive(KEY, "p", *b)
    assert alike == ([(type(x), x) for x in a] == [(type(x), x) for x in b])


@pytest.mark.parametrize(
    ("close", "open_"),
    [(secrets.sign, secrets.unsign), (secrets.seal, secrets.unseal)],
    ids=["sign", "seal"],
)
class TestSignAndSeal:
    @given(payload=st.binary(max_size=100))
    def test_there_and_back(self, close: Close, open_: Open, payload: bytes):
        text = close(KEY, "page", payload)
        assert re.fullmatch("[A-Za-z0-9_-]+", text)
        assert open_(KEY, "page", text) == payload

    def test_only_with_the_same_key_and_purpose(self, close: Close, open_: Open):
        text = close(KEY, "page", b"payload")
        assert open_(OTHER, "page", text) is None
        assert open_(KEY, "pag", text) is None

    def test_every_change_is_noticed(self, close: Close, open_: Open):
        text = close(KEY, "page", b"payload")
        for at, char in enumerate(text):
            other = "A" if char != "A" else "B"
            assert open_(KEY, "page", text[:at] + other + text[at + 1 :]) is None
            assert open_(KEY, "page", text[:at]) is None
        for changed in (f"{text}=", f"{text}A", f" {text}", f"{text}\n", text + text):
            assert open_(KEY, "page", changed) is None

    @given(text=ANYTHING)
    def test_nothing_raises(self, close: Close, open_: Open, text: str):
        assert open_(KEY, "page", text) is None


def test_sealed_text_shows_nothing_and_never_repeats():
    one, two = (secrets.seal(KEY, "keys", b"private" * 9) for _ in "12")
    assert one != two
    assert secrets.unsign(KEY, "keys", one) is None
