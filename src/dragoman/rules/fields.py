"""Canonical keys, and the checks of username, e-mail, slug, phone, url and free text.

Every check judges the text without its outer white space (``trim`` takes it off for storing),
and says everything it finds as ``Problem``; none of them raises.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from enum import Enum

import email_validator
import msgspec

from dragoman.rules.errors import Problem
from dragoman.rules.model import TenantChanges
from dragoman.rules.unicode_safety import hides, hides_in_prose, mixes_scripts

# Greatest lengths in characters (code points): those of WiWebb's fields; RFC 5321 for e-mails.
LIMITS: dict[str, int] = {
    "username": 150,
    "email": 254,
    "first_name": 150,
    "last_name": 150,
    "display_name": 301,  # first and last name and the space between them
    "phone": 20,
    "url": 200,
    "company": 100,
    "location": 100,
    "bio": 10_000,
}
TENANT_LIMITS: dict[str, int] = {
    "name": 150,
    "slug": 160,
    "email": 254,
    "url": 200,
    "description": 10_000,
}
LOCAL_PART = 64  # octets before the @: RFC 5321, section 4.5.3.1.1

# The library keeps addresses off names that only a private network knows; this directory is
# used in private networks. The list is documented as the caller's own to change.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class Alphabet(Enum):
    """What a username may be written in."""

    STRICT = "strict"  # letters and digits of any script, and @ . + - _
    FREE = "free"  # besides, spaces and every other visible character


def canonical(text: str) -> str:
    """Give the key under which usernames and e-mails are compared: NFKC(casefold(NFKC(x))).

    Applying it twice changes nothing (Unicode Standard, section 3.13, compatibility caseless
    matching); lone surrogates pass through.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def words_of(search: str) -> tuple[str, ...]:
    """Split a search text at white space into the canonical words that must all be found."""
    return tuple(dict.fromkeys(canonical(word) for word in search.split()))


def trim(text: str) -> str:
    """Take the outer Unicode white space off."""
    return text.strip()


# --------------------------------------------------------------------------- single fields

# A combining mark belongs to the letter before it; many scripts cannot be written without.
_SIGNS = frozenset("@.+-_")


def _is_strict(text: str) -> bool:
    """Say whether a username keeps to letters (with their marks), digits and @ . + - _."""
    for at, char in enumerate(text):
        mark = unicodedata.category(char) in {"Mn", "Mc"} and at > 0 and text[at - 1] not in _SIGNS
        if not (char.isalnum() or char in _SIGNS or mark):
            return False
    return True


def username_problems(
    text: str,
    field: str = "username",
    *,
    alphabet: Alphabet = Alphabet.STRICT,
    limit: int = LIMITS["username"],
) -> list[Problem]:
    """Check a username: ``blank``, ``too_long`` (characters), ``unsafe``, ``username``.

    The compatibility form (NFKC) has to pass as well as the text itself, since names are
    compared by it.
    """
    name = trim(text)
    if not name:
        return [Problem(field, "blank")]
    if len(name) > limit:
        return [Problem(field, "too_long", limit)]
    if name.isascii():
        if not name.isprintable():
            return [Problem(field, "unsafe")]
    else:
        folded = unicodedata.normalize("NFKC", name)
        begins_with_mark = unicodedata.category(name[0])[0] == "M"
        if hides(name) or hides(folded) or begins_with_mark or mixes_scripts(name):
            return [Problem(field, "unsafe")]
        if alphabet is Alphabet.STRICT and not _is_strict(folded):
            return [Problem(field, "username")]
    if alphabet is Alphabet.STRICT and not _is_strict(name):
        return [Problem(field, "username")]
    return []


def email_problems(text: str, field: str = "email") -> list[Problem]:
    """Check an e-mail address by its form alone: ``too_long``, ``unsafe``, ``email``.

    The empty text means "none" and passes. The domain is ``localhost`` or has a dot and does not
    end in a number; ``.local``, ``.test`` and other private names pass; DNS is never asked.
    Quoted local parts, address literals and display names are refused
    (RFC 5321, RFC 6531; at most 64 octets before the @, 254 in all).
    """
    address = trim(text)
    if not address:
        return []
    limit = LIMITS["email"]
    if len(address) > limit:
        return [Problem(field, "too_long", limit)]
    if hides(address):
        return [Problem(field, "unsafe")]
    return [] if _is_email(address) else [Problem(field, "email")]


def _is_email(address: str) -> bool:
    local, _, domain = address.rpartition("@")
    if len(local.encode()) > LOCAL_PART:
        return False
    try:
        email_validator.validate_email(
            address, check_deliverability=False, globally_deliverable=False
        )
    except email_validator.EmailNotValidError:
        return False
    last = domain.rpartition(".")[2]
    return domain.lower() == "localhost" or ("." in domain and not last.isdigit())


_URL = re.compile(
    r"https?://(?:[^\s/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9\u00a1-\U0010ffff-]{1,63}(?<!-)", re.IGNORECASE)


def url_problems(text: str, field: str = "url", *, limit: int = LIMITS["url"]) -> list[Problem]:
    """Check a web address: ``too_long``, ``unsafe``, ``url``; the empty text means "none".

    Only http and https (RFC 3986), to ``localhost``, an IP address, or a name with a dot whose
    last label has two characters or more and is no number.
    """
    url = trim(text)
    if not url:
        return []
    if len(url) > limit:
        return [Problem(field, "too_long", limit)]
    if hides(url):
        return [Problem(field, "unsafe")]
    match = _URL.fullmatch(url)
    good = match is not None and int(match["port"] or 0) <= 65_535 and _is_host(match["host"])
    return [] if good else [Problem(field, "url")]


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
        return host.startswith("[") == (":" in host)  # brackets are for IPv6: RFC 3986, 3.2.2
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    last = labels[-1]
    return host.lower() == "localhost" or (len(labels) > 1 and len(last) > 1 and not last.isdigit())


_SLUG = re.compile("[A-Za-z0-9_-]+")


def slug_problems(
    text: str, field: str = "slug", *, limit: int = TENANT_LIMITS["slug"]
) -> list[Problem]:
    """Check a slug: ``blank``, ``too_long``, ``slug`` (ASCII letters, digits, ``-``, ``_``)."""
    slug = trim(text)
    if not slug:
        return [Problem(field, "blank")]
    if len(slug) > limit:
        return [Problem(field, "too_long", limit)]
    return [] if _SLUG.fullmatch(slug) else [Problem(field, "slug")]


def text_problems(text: str, field: str, *, limit: int, lines: bool = False) -> list[Problem]:
    """Check prose such as a name or a biography: ``too_long``, ``unsafe``; it may be empty.

    ``lines`` allows newlines and tabs.
    """
    prose = trim(text)
    if len(prose) > limit:
        return [Problem(field, "too_long", limit)]
    return [Problem(field, "unsafe")] if hides_in_prose(prose, lines=lines) else []


# --------------------------------------------------------------------------- whole records


def _one(field: str, text: str, limit: int) -> list[Problem]:
    match field:
        case "email":
            return email_problems(text)
        case "url":
            return url_problems(text, limit=limit)
        case "slug":
            return slug_problems(text, limit=limit)
        case _:
            return text_problems(text, field, limit=limit, lines=field in {"bio", "description"})


def _given(fields: msgspec.Struct, limits: dict[str, int]) -> dict[str, str]:
    values = ((name, getattr(fields, name, None)) for name in limits)
    return {name: value for name, value in values if isinstance(value, str)}


def user_problems(fields: msgspec.Struct, *, alphabet: Alphabet = Alphabet.STRICT) -> list[Problem]:
    """Check every field of a NewUser or UserChanges that is set, in the order of ``LIMITS``.

    With the free alphabet, a username that is the e-mail address (who has no username of its
    own) is judged as an e-mail address, and every problem with it is the e-mail's.
    """
    texts = _given(fields, LIMITS)
    problems: list[Problem] = []
    if "username" in texts:
        name, address = texts["username"], texts.get("email", "")
        borrowed = alphabet is Alphabet.FREE and canonical(trim(name)) == canonical(trim(address))
        if borrowed and trim(name):
            limit = LIMITS["email"]
            problems += username_problems(name, "email", alphabet=alphabet, limit=limit)
        else:
            problems += username_problems(name, alphabet=alphabet)
    for field, text in texts.items():
        if field != "username":
            problems += _one(field, text, LIMITS[field])
    return list(dict.fromkeys(problems))


def tenant_problems(changes: TenantChanges) -> list[Problem]:
    """Check every field of a tenant that is set: name and slug are never blank."""
    texts = _given(changes, TENANT_LIMITS)
    problems: list[Problem] = []
    for field, text in texts.items():
        if field == "name" and not trim(text):
            problems.append(Problem(field, "blank"))
        else:
            problems += _one(field, text, TENANT_LIMITS[field])
    return problems
