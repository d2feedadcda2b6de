"""Random secrets, digests, derivation, signing and sealing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from dragoman.rules import crypto

KEY, OTHER = b"k" * 32, b"o" * 32
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()))
Encode = Callable[[bytes, str, bytes], str]
Decode = Callable[[bytes, str, str], bytes | None]
PARTS = st.lists(st.integers() | ANYTHING, max_size=4)


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (crypto.generate_hex, "[0-9a-f]{40}"),
        (crypto.generate_urlsafe, "[A-Za-z0-9_-]{43}"),
        (crypto.generate_public_id, f"[{crypto.READABLE_ALPHABET}]{{17}}"),
        (crypto.generate_password, f"[{crypto.READABLE_ALPHABET}]{{24}}"),
    ],
)
def test_secrets_have_their_format_and_never_repeat(make: Callable[[], str], pattern: str):
    made = {make() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(pattern, one) for one in made)
    assert set("".join(made)) >= set("456789abcdef")


def test_lengths():
    assert len(crypto.generate_hex(32)) == 64
    assert len(crypto.generate_urlsafe(20)) == 20


def test_ids_use_meteors_alphabet():
    assert crypto.READABLE_ALPHABET == "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
    assert not set("01IOUVl") & set(crypto.READABLE_ALPHABET)


def test_passwords_have_both_cases_and_a_digit():
    for _ in range(200):
        password = crypto.generate_password()
        assert re.search("[a-z]", password)
        assert re.search("[A-Z]", password)
        assert re.search("[2-9]", password)


def test_passwords_are_drawn_until_they_have_both_cases_and_a_digit(
    monkeypatch: pytest.MonkeyPatch,
):
    upper, lower, digits = (
        [char for char in crypto.READABLE_ALPHABET if is_one(char)]
        for is_one in (str.isupper, str.islower, str.isdigit)
    )

    def first_of(*drawn: str) -> str:
        """Return the password generated if these texts are drawn in turn."""
        chars = iter("".join(text.ljust(crypto.PASSWORD_LENGTH, text[-1]) for text in drawn))
        monkeypatch.setattr("secrets.choice", lambda _: next(chars))
        return crypto.generate_password()

    good = "Aa2".ljust(crypto.PASSWORD_LENGTH, "2")
    for one, two in (upper, lower), (upper, digits), (lower, digits):
        lacking = [each + two[0] for each in one] + [one[0] + each for each in two]
        assert first_of(*lacking, "Aa2") == good
    for each in crypto.READABLE_ALPHABET:
        others = {"A": upper, "a": lower, "2": digits}
        enough = each + "".join(char for char, kind in others.items() if each not in kind)
        assert first_of(enough, "zZ9").startswith(enough)


def test_numbers_are_positive_and_fit_into_64_bits(monkeypatch: pytest.MonkeyPatch):
    made = {crypto.generate_number() for _ in range(200)}
    assert len(made) == 200
    monkeypatch.setattr("secrets.randbits", lambda _: 0)
    assert crypto.generate_number() == 1
    monkeypatch.setattr("secrets.randbits", lambda bits: (1 << bits) - 1)
    assert 2**62 <= crypto.generate_number() < 2**63


def test_digest_is_sha256():
    assert crypto.digest("abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert crypto.digest("ü") == hashlib.sha256(b"\xc3\xbc").digest()


def test_digest_of_surrogates_equals_no_other():
    for replaced in ("a?", "a\ufffd", "a", "a\\ud800"):
        assert crypto.digest("a\ud800") != crypto.digest(replaced)


@given(ANYTHING)
def test_digest_never_raises(text: str):
    assert len(crypto.digest(text)) == 32


@given(ANYTHING, ANYTHING)
def test_equal_in_constant_time(a: str, b: str):
    assert crypto.equal_in_constant_time(a, b) == (a == b)
    assert crypto.equal_in_constant_time(a, a)


def test_equal_in_constant_time_accepts_bytes():
    assert crypto.equal_in_constant_time(b"ab", b"ab")
    assert not crypto.equal_in_constant_time(b"ab", b"abc")
    assert crypto.equal_in_constant_time("ü", "ü".encode())


def test_surrogates_are_compared_and_derived_from():
    assert crypto.equal_in_constant_time("a\ud800", "a\ud800")
    assert not crypto.equal_in_constant_time("a\ud800", "a?")
    assert crypto.derive(KEY, "reset", "\ud800") != crypto.derive(KEY, "reset", "?")


def reference_mac(purpose: bytes, *parts: bytes) -> bytes:
    """Return the MAC as computed since the first version."""
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in (purpose, *parts))
    return hmac.digest(KEY, whole, "sha256")


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class TestBackwardCompatibility:
    """Links in mails, stored keys and list positions must remain valid after an upgrade."""

    def test_derived(self):
        assert crypto.derive(KEY, "reset", 7, "x") == text_of(reference_mac(b"reset", b"i7", b"sx"))

    def test_signed(self):
        old = text_of(reference_mac(b"page", b"payload")[:16] + b"payload")
        assert crypto.sign(KEY, "page", b"payload") == old
        assert crypto.unsign(KEY, "page", old) == b"payload"
        for last in range(64):  # every possible last character
            raw = bytes([0, last])
            old = text_of(reference_mac(b"page", raw)[:16] + raw)
            assert crypto.sign(KEY, "page", raw) == old
            assert crypto.unsign(KEY, "page", old) == raw

    def test_sealed(self):
        nonce = b"n" * 12
        sealed = AESGCM(reference_mac(b"seal", b"keys")).encrypt(nonce, b"plain", None)
        assert crypto.unseal(KEY, "keys", text_of(nonce + sealed)) == b"plain"
        now = crypto.seal(KEY, "keys", b"plain")
        raw = base64.urlsafe_b64decode(now + "=" * (-len(now) % 4))
        assert AESGCM(reference_mac(b"seal", b"keys")).decrypt(raw[:12], raw[12:], None) == b"plain"


def test_derive_is_deterministic():
    made = crypto.derive(KEY, "reset", 7, "x")
    assert made == crypto.derive(KEY, "reset", 7, "x")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", made)


def test_derive_separates_keys_purposes_and_parts():
    inputs: list[tuple[bytes, str, *tuple[int | str, ...]]] = [
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
    assert len({crypto.derive(*one) for one in inputs}) == len(inputs)


@given(PARTS, PARTS)
def test_derive_is_unambiguous(a: list[int | str], b: list[int | str]):
    equal = crypto.derive(KEY, "p", *a) == crypto.derive(KEY, "p", *b)
    assert equal == ([(type(x), x) for x in a] == [(type(x), x) for x in b])


@pytest.mark.parametrize(
    ("encode", "decode"),
    [(crypto.sign, crypto.unsign), (crypto.seal, crypto.unseal)],
    ids=["sign", "seal"],
)
class TestSignAndSeal:
    @given(payload=st.binary(max_size=100))
    def test_round_trip(self, encode: Encode, decode: Decode, payload: bytes):
        text = encode(KEY, "page", payload)
        assert re.fullmatch("[A-Za-z0-9_-]+", text)
        assert decode(KEY, "page", text) == payload

    def test_requires_the_same_key_and_purpose(self, encode: Encode, decode: Decode):
        text = encode(KEY, "page", b"payload")
        assert decode(OTHER, "page", text) is None
        assert decode(KEY, "pag", text) is None

    def test_every_change_is_detected(self, encode: Encode, decode: Decode):
        text = encode(KEY, "page", b"payload")
        for index, char in enumerate(text):
            other = "A" if char != "A" else "B"
            assert decode(KEY, "page", text[:index] + other + text[index + 1 :]) is None
            assert decode(KEY, "page", text[:index]) is None
        for changed in (f"{text}=", f"{text}A", f" {text}", f"{text}\n", text + text):
            assert decode(KEY, "page", changed) is None

    @given(text=ANYTHING)
    def test_never_raises(self, encode: Encode, decode: Decode, text: str):
        assert decode(KEY, "page", text) is None


def test_sealed_text_reveals_nothing_and_never_repeats():
    one, two = (crypto.seal(KEY, "keys", b"private" * 9) for _ in "12")
    assert one != two
    assert crypto.unsign(KEY, "keys", one) is None
