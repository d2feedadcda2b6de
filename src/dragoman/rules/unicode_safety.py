"""Says which characters a text hides, and which scripts may meet in one name."""

from __future__ import annotations

import re
import unicodedata

# str.isprintable() is false for control, format, surrogate, private, unassigned and separator
# characters, all but the plain space. These count as printable, and still show nothing: the rest
# of Default_Ignorable_Code_Point (UAX #44), and the blank signs of Braille, music and Khitan.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
# Not assigned yet, and never to be seen when they are: noncharacters and ignorable blocks.
_NEVER_VISIBLE = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e0fff]")
_JOINERS = "\u200c\u200d"
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_VIRAMA = 9  # canonical combining class of the signs that join Indic consonants


def hides(text: str) -> bool:
    """Say whether an identifier holds anything but visible characters and plain spaces."""
    return not text.isprintable() or _INVISIBLE.search(text) is not None


def _shows(char: str) -> bool:
    return char.isprintable() and char != " "


def _tolerable(before: str, char: str, after: str) -> bool:
    """Say whether prose may hold an unprintable or invisible character between these two.

    White space of other scripts, private-use characters and those of a newer Unicode version
    are harmless. Joiners stand where spelling needs them (Persian, Indic scripts, joined emoji;
    RFC 5892, appendix A), variation selectors behind what they vary (Japanese names, emoji).
    """
    if char in _JOINERS:
        if before and unicodedata.combining(before) == _VIRAMA:
            return True
        sides = (unicodedata.category(side)[0] if side else "" for side in (before, after))
        return all(side in {"L", "M", "S"} for side in sides)
    if _VARIATION.fullmatch(char):
        return bool(before) and _shows(before) and not _INVISIBLE.fullmatch(before)
    if _INVISIBLE.fullmatch(char) or _NEVER_VISIBLE.fullmatch(char):
        return False
    if unicodedata.category(char) == "Cn":
        return ord(char) & 0xFFFE != 0xFFFE
    return unicodedata.category(char) in {"Zs", "Co"}


def hides_in_prose(text: str, *, lines: bool) -> bool:
    """Say whether prose holds a character that it must not: control, invisible, bidirectional."""
    if not hides(text):
        return False
    for at, char in enumerate(text):
        if lines and char in "\n\r\t":
            continue
        if char.isprintable() and not _INVISIBLE.fullmatch(char):
            continue
        if not _tolerable(text[at - 1 : at], char, text[at + 1 : at + 2]):
            return True
    return False


# --------------------------------------------------------------------------- scripts

_HAN, _LATIN = "CJK", "LATIN"
_ANY_SCRIPT = {"MODIFIER", "KATAKANA-HIRAGANA", "VERTICAL", "MASU", "VEDIC", "CARON"}
_PART_OF = {"IDEOGRAPHIC": _HAN, "HENTAIGANA": "HIRAGANA"}
_TOGETHER = (
    frozenset({_LATIN, _HAN, "HIRAGANA", "KATAKANA"}),  # Japanese
    frozenset({_LATIN, _HAN, "HANGUL"}),  # Korean
    frozenset({_LATIN, _HAN, "BOPOMOFO"}),  # Chinese
)


def _script(letter: str) -> str:
    """Give the first word of a letter's Unicode name, which names its script.

    The standard library has no Script property. Names never change once given, and compared with
    Scripts.txt (UAX #24, Unicode 14) their first words tell all letters' scripts apart, but for a
    few that share one (OLD ITALIC and OLD TURKIC, TAI LE and TAI VIET): an error on the friendly
    side.
    """
    word = unicodedata.name(letter, "UNNAMED").partition(" ")[0]
    return _PART_OF.get(word, word)


def mixes_scripts(text: str) -> bool:
    """Say whether one name mixes scripts or sets of digits, as spoofed names do.

    UTS #39, section 5.2, level *Highly Restrictive*: one script, or Latin with one of the
    sets that Japanese, Korean and Chinese are written in; and section 5.3, mixed numbers.
    In an e-mail address the local part and each label of the domain are judged apart.
    """
    if text.isascii():
        return False
    local, _, domain = unicodedata.normalize("NFKC", text).partition("@")
    return any(_mixed(part) for part in (local, *domain.split(".")))


def _mixed(part: str) -> bool:
    scripts = {_script(char) for char in part if char.isalpha()} - _ANY_SCRIPT
    zeros = {ord(char) - int(char) for char in part if char.isdecimal()}
    alone = len(scripts) < 2 or any(scripts <= together for together in _TOGETHER)
    return not alone or len(zeros) > 1
