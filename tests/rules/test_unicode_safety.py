"""Invisible characters and mixed scripts are detected; characters needed for spelling are allowed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.rules import fields
from dragoman.rules.errors import Problem
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.unicode_safety import (
    has_invisible_characters,
    has_unsafe_prose_characters,
    mixes_scripts,
)

ANYTHING = st.text(alphabet=st.characters(exclude_categories=())) | st.text(
    alphabet="ab \n\t\0\u200b\u200c\u200d\u202e\u0301\u094d\ufe0f\ud800αЯ太🙂", max_size=40
)

UNSAFE = {
    "null": "a\0b",
    "escape": "a\x1bb",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "zero-width space": "a\u200bb",
    "word joiner": "a\u2060b",
    "byte order mark": "a\ufeffb",
    "soft hyphen": "a\u00adb",
    "invisible times": "a\u2062b",
    "combining grapheme joiner": "a\u034fb",
    "hangul filler": "a\u3164b",
    "halfwidth hangul filler": "a\uffa0b",
    "braille blank": "a\u2800b",
    "left-to-right mark": "a\u200eb",
    "right-to-left override": "a\u202eb",
    "right-to-left isolate": "a\u2067b",
    "arabic letter mark": "a\u061cb",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "tag": "a\U000e0041b",
    "noncharacter": "a\uffffb",
    "lone surrogate": "a\ud800b",
    "lone low surrogate": "a\udfffb",
}
# Allowed in prose but not in identifiers.
UNSAFE_IN_NAMES = UNSAFE | {
    "zero-width joiner": "a\u200db",
    "zero-width non-joiner": "a\u200cb",
    "variation selector": "a\ufe0fb",
    "ideographic variation selector": "葛\U000e0100",
    "unassigned": "a\u0378b",
    "private use": "a\ue000b",
    "no-break space": "a\u00a0b",
    "ideographic space": "山田\u3000太郎",
    "newline": "a\nb",
    "tab": "a\tb",
}


class TestIdentifiers:
    @pytest.mark.parametrize("text", UNSAFE_IN_NAMES.values(), ids=UNSAFE_IN_NAMES)
    def test_unsafe_in_usernames(self, text: str):
        for charset in UsernameCharset:
            problems = fields.username_problems(text, charset=charset)
            assert problems == [Problem("username", "unsafe")]

    @pytest.mark.parametrize("text", UNSAFE_IN_NAMES.values(), ids=UNSAFE_IN_NAMES)
    def test_unsafe_in_addresses(self, text: str):
        for address in (f"{text}@example.com", f"a@{text}.com", f"a@example.com/{text}"):
            assert fields.email_problems(address) == [Problem("email", "unsafe")]
        assert fields.url_problems(f"http://a.bc/{text}") == [Problem("url", "unsafe")]

    def test_control_format_and_surrogate_characters_are_invisible(self):
        for code in range(0x110000):
            char = chr(code)
            if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
                assert has_invisible_characters(char), hex(code)

    def test_letters_and_plain_spaces_are_visible(self):
        assert not has_invisible_characters("Bob Müller 太郎 محمد e\u0301 🙂")

    def test_script_combinations(self):
        for name in (
            "tanaka太郎",
            "かなカナ漢字ー",
            "한국漢字",
            "ㄅ漢字",
            "Ωμέγα",
            "Жанна-1",
            "a\u02bcb",
        ):
            assert not mixes_scripts(name), name
        for name in ("аa", "αa", "한かな", "ㄅか", "Я太", "Ա" + "a", "ᴀ" + "а"):
            assert mixes_scripts(name), name

    @given(ANYTHING)
    def test_never_raises(self, text: str):
        assert mixes_scripts(text) in {True, False}
        assert has_unsafe_prose_characters(text, multiline=True) in {True, False}
        if not has_invisible_characters(text):
            assert not has_unsafe_prose_characters(text, multiline=False)


class TestProse:
    @pytest.mark.parametrize("multiline", [False, True])
    @pytest.mark.parametrize("text", UNSAFE.values(), ids=UNSAFE)
    def test_unsafe_in_prose(self, text: str, multiline: bool):
        problems = fields.text_problems(text, "company", max_length=100, multiline=multiline)
        assert problems == [Problem("company", "unsafe")]

    @pytest.mark.parametrize(
        "name",
        ["", "Jean-Luc d'Été", "می\u200cخواهم", "ක්\u200dෂ", "ന്\u200d", "葛\U000e0100城",
         "👩\u200d💻", "👩🏽\u200d⚕\ufe0f", "1\ufe0f\u20e3", "山田\u3000太郎", "a\u00a0b", "Bob Боб",
         "\U0001fae8", "a\ue000"],
    )  # fmt: skip
    def test_names_in_many_scripts_are_safe(self, name: str):
        assert fields.text_problems(name, "first_name", max_length=150) == []

    @pytest.mark.parametrize(
        "text", ["a \u200d b", "a\u200d", "x\u200d\u200dy", "1\u200c2", "a \ufe0f", "a\ufe0f\ufe0f"]
    )
    def test_misplaced_joiners_and_selectors_are_unsafe(self, text: str):
        assert has_unsafe_prose_characters(f"{text}.", multiline=False)

    def test_newlines_require_multiline(self):
        text = "one\r\ntwo\tthree"
        assert fields.text_problems(text, "bio", max_length=100, multiline=True) == []
        assert fields.text_problems(text, "bio", max_length=100) == [Problem("bio", "unsafe")]

    @given(ANYTHING, st.booleans())
    def test_never_raises(self, text: str, multiline: bool):
        assert len(fields.text_problems(text, "bio", max_length=30, multiline=multiline)) <= 1
