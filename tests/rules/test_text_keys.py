"""Keys of texts: who is the same person, and what a search finds."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.rules import fields
from dragoman.rules.errors import Problem
from dragoman.rules.fields import canonical, email_key, search_key, search_words

KEYS = [canonical, email_key, search_key]
every_key = pytest.mark.parametrize("key", KEYS)
TEXTS = (
    st.text(st.characters(exclude_categories=()), max_size=40)
    | st.text("aAßéïİıÆœ\u0301\u0315\u0345\u0338@.-xn’łΐΆ\u1100\u1161\u11a8", max_size=60)
    | st.text("\ufdfa\u0390\u0301ßa", max_size=700)
)
TOO_LONG = ["a" + "\u0315" * 30_000 + "\u0316" * 30_000, "a" * 120_000, "\ud800" * 600]


@every_key
@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
@example(text="x@ßé_.test")
def test_every_key_is_its_own_key_and_short(key: Callable[[str], str], text: str):
    assert key(key(text)) == key(text)
    assert len(key(text)) <= 512


@every_key
def test_so_is_the_key_of_every_character(key: Callable[[str], str]):
    unstable = [
        code
        for code in (*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x1EF00))
        if key(key(chr(code))) != key(chr(code))
    ]
    assert unstable == []


@every_key
@pytest.mark.parametrize("text", TOO_LONG, ids=range(3))
def test_a_long_text_is_never_normalized(
    key: Callable[[str], str], text: str, monkeypatch: pytest.MonkeyPatch
):
    """CPython's normalization is quadratic in runs of combining marks."""
    lengths: list[int] = [0]
    normalize = unicodedata.normalize

    def record(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", record)
    found = key(text)
    assert max(lengths) <= 512
    assert len(found) <= 512
    if key is not search_key:
        assert len(lengths) == 1
        assert found != key(text + "b")
        assert fields.username_problems(found) == [Problem("username", "unsafe")]


def test_254_characters_are_compared_and_one_more_is_no_name():
    assert canonical("É" * 254) == canonical("é" * 254) == "é" * 254
    assert canonical("É" * 255) != canonical("é" * 255)
    assert canonical("ß" * 254) == canonical("ẞ" * 254)  # more than 254 characters when folded
    assert canonical("ß" * 254) != canonical("ß" * 253)


class TestNames:
    def test_case_and_compatibility_forms_are_equal(self):
        assert canonical("STRASSE") == canonical("straße")
        assert canonical("Ｂｏｂ") == canonical("bob") == "bob"
        assert canonical("e\u0301") == canonical("É")
        assert canonical("ΟΔΟΣ") == canonical("οδος")
        assert canonical("a") != canonical("а")  # Latin and Cyrillic differ

    def test_definition(self):
        for text in ("Bob", "İstanbul", "ﬃ", "ΐ", "ᾳ"):
            folded = unicodedata.normalize("NFKC", text).casefold()
            assert canonical(text) == unicodedata.normalize("NFKC", folded)


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "key"),
        [
            ("Max@Müller.example", "max@xn--mller-kva.example"),
            ("max@xn--MLLER-kva.example", "max@xn--mller-kva.example"),
            ("max＠ＭＵ\u0308ＬＬＥＲ。example", "max@xn--mller-kva.example"),
            ("a@straße.example", "a@xn--strae-oqa.example"),
            ("a@STRASSE.example", "a@strasse.example"),
            ("Jürgen.Groß@mail.example", "jürgen.gross@mail.example"),
            ("ö@localhost", "ö@localhost"),
            ("x@例え.テスト", "x@xn--r8jz45g.xn--zckzah"),
            ("", ""),
        ],
    )
    def test_the_domain_is_compared_as_dns_does(self, address: str, key: str):
        assert email_key(address) == key
        assert canonical(address) == key  # of a username that reads as an address, too

    @pytest.mark.parametrize("text", ["é@", "@é", "é@a b", "é@-a.de", "é@a..de", "É", "é@a_b.de"])
    def test_what_has_no_valid_domain_is_compared_like_a_name(self, text: str):
        assert email_key(text) == canonical(text) == text.lower()


class TestSearch:
    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("García", "garcia"),
            ("O’Connor", "o'connor"),
            ("O‘Connor Oʼconnor", "o'connor o'connor"),
            ("Ångström", "angstrom"),
            ("Søren Łukasz Đorđe", "soren lukasz dorde"),
            ("Ærø Œuvre Þór ISIK ışık", "aero oeuvre thor isik isik"),
            ("Straße İzmir Ǿ", "strasse izmir o"),
            ("Γιώργος", "γιωργοσ"),
            ("Nguyễn", "nguyen"),
            ("Йован", unicodedata.normalize("NFD", "йован")),  # its breve is spelling
            ("がぎ", unicodedata.normalize("NFD", "がぎ")),
            ("हिन्दी", "हिन्दी"),
            ("ﬁancé", "fiance"),
        ],
    )
    def test_accents_are_folded(self, text: str, key: str):
        assert search_key(text) == key
        assert search_key(unicodedata.normalize("NFD", text)) == key

    def test_words_are_unique(self):
        assert search_words(" Bob\u3000BOB Ｂｏｂ\nEVE Évé ") == ("bob", "eve")
        assert search_words(" \t") == ()

    @pytest.mark.parametrize("text", ["x" * 201, *TOO_LONG, " ".join(map(str, range(33)))])
    def test_what_is_too_long_has_one_word_that_no_name_has(self, text: str):
        (word,) = search_words(text)
        assert len(word) == 65
        assert fields.text_problems(word, "first_name", max_length=150)

    def test_200_characters_are_a_word(self):
        assert search_words("É" * 200) == ("e" * 200,)
