"""Keys of texts: by which names and e-mail addresses are compared, and names found and ordered.

Every function here is idempotent, and bounded: the length is judged before any other work, because
CPython's normalization takes quadratic time for runs of combining marks, 20 seconds for 120 kB.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache

import idna

MAX_NAME_LENGTH = 254
"""Maximum length of a name or an e-mail address in characters, and of its key (RFC 5321)."""
MAX_SEARCH_KEY_LENGTH = 512
"""Maximum length of a search key in characters: an index of PostgreSQL holds it."""
MAX_SEARCH_WORD_LENGTH = 200
MAX_SEARCH_WORDS = 32

_TOO_LONG, _LONG_KEY = "\x01", "\x02"  # no name begins with a control character


def canonical(text: str) -> str:
    """Return the key by which usernames and e-mail addresses are compared.

    This is ``email_key`` for what reads as an e-mail address, otherwise NFKC(casefold(NFKC(x))),
    the compatibility caseless matching of the Unicode Standard, section 3.13. Lone surrogates are
    kept. A text of more than ``MAX_NAME_LENGTH`` characters has a key that no name has: it is not
    found, and costs no more than a short one.
    """
    if len(text) > MAX_NAME_LENGTH:
        return _digest(_TOO_LONG, text)
    if text.isascii():
        return text.lower()
    return email_key(text)


def email_key(text: str) -> str:
    """Return the key of an e-mail address: canonical local part, @, and the domain's A-label.

    The domain is mapped by UTS 46, non-transitional, so that ``straße.example`` and
    ``strasse.example`` differ, as they do in DNS. A text without a valid domain has the key of a
    username. The lengths are those of ``canonical``.
    """
    if len(text) > MAX_NAME_LENGTH:
        return _digest(_TOO_LONG, text)
    if text.isascii():
        return text.lower()
    local, at, domain = unicodedata.normalize("NFKC", text).rpartition("@")
    a_label = _a_label(domain) if local and at else ""
    if a_label:
        return _bounded(f"{_folded(local)}@{a_label}")
    key = _bounded(_folded(text))
    return key if key == text else email_key(key)  # folding may have made the domain valid


def _digest(kind: str, text: str) -> str:
    return kind + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _bounded(key: str) -> str:
    """Return a key, or its digest: some characters become eighteen when they are folded."""
    return key if len(key) <= MAX_NAME_LENGTH else _digest(_LONG_KEY, key)


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def _a_label(domain: str) -> str:
    """Return a domain as DNS has it, or an empty string if it is invalid."""
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


# --------------------------------------------------------------------------- search

_SPELLINGS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"}
    | dict.fromkeys("\u2018\u2019\u201b\u02bb\u02bc", "'")  # typographic apostrophes
)


def search_key(text: str) -> str:
    """Return the form in which names are searched for and ordered, without accents.

    This is NFD(NFKC(casefold(NFKC(x)))) without the marks of Latin and Greek letters; a few Latin
    letters that NFD does not take apart, and typographic apostrophes, have their plain spelling.
    Only the first ``MAX_SEARCH_KEY_LENGTH`` characters count.
    """
    if text.isascii():
        return text[:MAX_SEARCH_KEY_LENGTH].lower()
    decomposed = unicodedata.normalize("NFD", _folded(text[:MAX_SEARCH_KEY_LENGTH]))
    kept: list[str] = []
    drops_marks = False
    for char in decomposed:
        if unicodedata.category(char)[0] != "M":
            drops_marks = _loses_marks(char)
        elif drops_marks:
            continue
        kept.append(char)
    return "".join(kept).translate(_SPELLINGS)[:MAX_SEARCH_KEY_LENGTH]


@lru_cache(maxsize=4096)
def _loses_marks(char: str) -> bool:
    """Return whether a character is a Latin or Greek letter; in other scripts, marks are spelling."""
    return char.isalpha() and unicodedata.name(char, "").startswith(("LATIN ", "GREEK "))


def search_words(search: str) -> tuple[str, ...]:
    """Return the words of a search text as search keys, without duplicates; a match has all of them.

    A word of more than ``MAX_SEARCH_WORD_LENGTH`` characters, or more than ``MAX_SEARCH_WORDS``
    different words, match nothing.
    """
    words = dict.fromkeys(search.split())
    if not words:
        return ()
    if len(words) > MAX_SEARCH_WORDS or any(len(w) > MAX_SEARCH_WORD_LENGTH for w in words):
        return (_digest(_TOO_LONG, ""),)  # as letters and digits, which the trigram index can find
    return tuple(dict.fromkeys(key for word in words for key in search_key(word).split()))
