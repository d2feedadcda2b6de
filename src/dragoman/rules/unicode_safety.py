"""Detection of invisible characters and of mixed scripts (UTS #39)."""

from __future__ import annotations

import re
import unicodedata

# str.isprintable() is False for control, format, surrogate, private-use, unassigned and separator
# characters except the plain space. It is True for these, which are invisible all the same: the
# rest of Default_Ignorable_Code_Point (UAX #44) and blank signs of Braille, music and Khitan.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
# Unassigned and invisible even if they are assigned later: noncharacters and ignorable blocks.
_NEVER_VISIBLE = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e0fff]")
_JOINERS = "\u200c\u200d"
_VARIATION_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_VIRAMA = 9  # canonical combining class of the signs that join Indic consonants


def has_invisible_characters(text: str) -> bool:
    """Return whether a text has any characters other than visible ones and plain spaces."""
    return not text.isprintable() or _INVISIBLE.search(text) is not None


def _is_visible(char: str) -> bool:
    return char.isprintable() and char != " "


def _is_allowed_in_prose(previous: str, char: str, following: str) -> bool:
    """Return whether prose may have this unprintable or invisible character between these two.

    White space of other scripts, private-use characters and characters of a newer Unicode version
    are allowed. Joiners are allowed where spelling requires them (Persian, Indic scripts, joined
    emoji; RFC 5892, appendix A), variation selectors after a visible character (Japanese names,
    emoji).
    """
    if char in _JOINERS:
        if previous and unicodedata.combining(previous) == _VIRAMA:
            return True
        neighbour_categories = (
            unicodedata.category(side)[0] if side else "" for side in (previous, following)
        )
        return all(side in {"L", "M", "S"} for side in neighbour_categories)
    if _VARIATION_SELECTOR.fullmatch(char):
        return bool(previous) and _is_visible(previous) and not _INVISIBLE.fullmatch(previous)
    if _INVISIBLE.fullmatch(char) or _NEVER_VISIBLE.fullmatch(char):
        return False
    if unicodedata.category(char) == "Cn":
        return ord(char) & 0xFFFE != 0xFFFE
    return unicodedata.category(char) in {"Zs", "Co"}


def has_unsafe_prose_characters(text: str, *, multiline: bool) -> bool:
    """Return whether prose has forbidden control, invisible or bidirectional characters."""
    if not has_invisible_characters(text):
        return False
    for index, char in enumerate(text):
        if multiline and char in "\n\r\t":
            continue
        if char.isprintable() and not _INVISIBLE.fullmatch(char):
            continue
        if not _is_allowed_in_prose(text[index - 1 : index], char, text[index + 1 : index + 2]):
            return True
    return False


# --------------------------------------------------------------------------- scripts

_HAN, _LATIN = "CJK", "LATIN"
_COMMON_SCRIPT = {"MODIFIER", "KATAKANA-HIRAGANA", "VERTICAL", "MASU", "VEDIC", "CARON"}
_SCRIPT_ALIASES = {"IDEOGRAPHIC": _HAN, "HENTAIGANA": "HIRAGANA"}
_SCRIPT_COMBINATIONS = (
    frozenset({_LATIN, _HAN, "HIRAGANA", "KATAKANA"}),  # Japanese
    frozenset({_LATIN, _HAN, "HANGUL"}),  # Korean
    frozenset({_LATIN, _HAN, "BOPOMOFO"}),  # Chinese
)


def _script(letter: str) -> str:
    """Return the script of a letter: the first word of its Unicode name.

    The standard library does not provide the Script property. Names are stable, and compared with
    Scripts.txt (UAX #24, Unicode 14) the first words distinguish the scripts of all letters, except
    a few that share one (OLD ITALIC and OLD TURKIC, TAI LE and TAI VIET). Mixtures of these are not
    detected.
    """
    first_word = unicodedata.name(letter, "UNNAMED").partition(" ")[0]
    return _SCRIPT_ALIASES.get(first_word, first_word)


def mixes_scripts(text: str) -> bool:
    """Return whether a name mixes scripts or digit systems, as spoofed names do.

    UTS #39, section 5.2, level *Highly Restrictive*, allows one script, or Latin with one of the
    combinations used for Japanese, Korean and Chinese; section 5.3 covers mixed numbers. The local
    part of an e-mail address and each label of its domain are checked separately.
    """
    if text.isascii():
        return False
    local, _, domain = unicodedata.normalize("NFKC", text).partition("@")
    return any(_part_mixes_scripts(part) for part in (local, *domain.split(".")))


def _part_mixes_scripts(part: str) -> bool:
    scripts = {_script(char) for char in part if char.isalpha()} - _COMMON_SCRIPT
    digit_zeros = {ord(char) - int(char) for char in part if char.isdecimal()}
    allowed = len(scripts) < 2 or any(
        scripts <= allowed_together for allowed_together in _SCRIPT_COMBINATIONS
    )
    return not allowed or len(digit_zeros) > 1
