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
from dragoman.rules.unicode_safety import (
    has_invisible_characters,
    has_unsafe_prose_characters,
    mixes_scripts,
)

# Greatest lengths in characters (code points): those of WiWebb's fields; RFC 5321 for e-mails.
USER_MAX_LENGTHS: dict[str, int] = {
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
TENANT_MAX_LENGTHS: dict[str, int] = {
    "name": 150,
    "slug": 160,
    "email": 254,
    "url": 200,
    "description": 10_000,
}
MAX_LOCAL_PART_BYTES = 64  # octets before the @: RFC 5321, section 4.5.3.1.1

# The library keeps addresses off names that only a private network knows; this directory is
# used in private networks. The list is documented as the caller's own to change.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class UsernameCharset(Enum):
    """What a username may be written in."""

    STRICT = "strict"  # letters and digits of any script, and @ . + - _
    PERMISSIVE = "free"  # besides, spaces and every other visible character


def canonical(text: str) -> str:
    """Give the key under which usernames and e-mails are compared: NFKC(casefold(NFKC(x))).

    Applying it twice changes nothing (Unicode Standard, section 3.13, compatibility caseless
    matching); lone surrogates pass through.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def search_words(search: str) -> tuple[str, ...]:
    """Split a search text at white space into the canonical words that must all be found."""
    return tuple(dict.fromkeys(canonical(word) for word in search.split()))


def trim(text: str) -> str:
    """Take the outer Unicode white space off."""
    return text.strip()


# --------------------------------------------------------------------------- single fields

# A combining mark belongs to the letter before it; many scripts cannot be written without.
_USERNAME_PUNCTUATION = frozenset("@.+-_")


def _in_strict_charset(text: str) -> bool:
    """Say whether a username keeps to letters (with their marks), digits and @ . + - _."""
    for index, char in enumerate(text):
        is_mark = (
            unicodedata.category(char) in {"Mn", "Mc"}
            and index > 0
            and text[index - 1] not in _USERNAME_PUNCTUATION
        )
        if not (char.isalnum() or char in _USERNAME_PUNCTUATION or is_mark):
            return False
    return True


def username_problems(
    text: str,
    field: str = "username",
    *,
    charset: UsernameCharset = UsernameCharset.STRICT,
    max_length: int = USER_MAX_LENGTHS["username"],
) -> list[Problem]:
    """Check a username: ``blank``, ``too_long`` (characters), ``unsafe``, ``username``.

    The compatibility form (NFKC) has to pass as well as the text itself, since names are
    compared by it.
    """
    name = trim(text)
    if not name:
        return [Problem(field, "blank")]
    if len(name) > max_length:
        return [Problem(field, "too_long", max_length)]
    if name.isascii():
        if not name.isprintable():
            return [Problem(field, "unsafe")]
    else:
        folded = unicodedata.normalize("NFKC", name)
        starts_with_mark = unicodedata.category(name[0])[0] == "M"
        if (
            has_invisible_characters(name)
            or has_invisible_characters(folded)
            or starts_with_mark
            or mixes_scripts(name)
        ):
            return [Problem(field, "unsafe")]
        if charset is UsernameCharset.STRICT and not _in_strict_charset(folded):
            return [Problem(field, "username")]
    if charset is UsernameCharset.STRICT and not _in_strict_charset(name):
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
    max_length = USER_MAX_LENGTHS["email"]
    if len(address) > max_length:
        return [Problem(field, "too_long", max_length)]
    if has_invisible_characters(address):
        return [Problem(field, "unsafe")]
    return [] if _is_email(address) else [Problem(field, "email")]


def _is_email(address: str) -> bool:
    local, _, domain = address.rpartition("@")
    if len(local.encode()) > MAX_LOCAL_PART_BYTES:
        return False
    try:
        email_validator.validate_email(
            address, check_deliverability=False, globally_deliverable=False
        )
    except email_validator.EmailNotValidError:
        return False
    last_label = domain.rpartition(".")[2]
    return domain.lower() == "localhost" or ("." in domain and not last_label.isdigit())


_URL = re.compile(
    r"https?://(?:[^\s/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9\u00a1-\U0010ffff-]{1,63}(?<!-)", re.IGNORECASE)


def url_problems(
    text: str, field: str = "url", *, max_length: int = USER_MAX_LENGTHS["url"]
) -> list[Problem]:
    """Check a web address: ``too_long``, ``unsafe``, ``url``; the empty text means "none".

    Only http and https (RFC 3986), to ``localhost``, an IP address, or a name with a dot whose
    last label has two characters or more and is no number.
    """
    url = trim(text)
    if not url:
        return []
    if len(url) > max_length:
        return [Problem(field, "too_long", max_length)]
    if has_invisible_characters(url):
        return [Problem(field, "unsafe")]
    match = _URL.fullmatch(url)
    valid = match is not None and int(match["port"] or 0) <= 65_535 and _is_host(match["host"])
    return [] if valid else [Problem(field, "url")]


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
        return host.startswith("[") == (":" in host)  # brackets are for IPv6: RFC 3986, 3.2.2
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    last_label = labels[-1]
    return host.lower() == "localhost" or (
        len(labels) > 1 and len(last_label) > 1 and not last_label.isdigit()
    )


_SLUG = re.compile("[A-Za-z0-9_-]+")


def slug_problems(
    text: str, field: str = "slug", *, max_length: int = TENANT_MAX_LENGTHS["slug"]
) -> list[Problem]:
    """Check a slug: ``blank``, ``too_long``, ``slug`` (ASCII letters, digits, ``-``, ``_``)."""
    slug = trim(text)
    if not slug:
        return [Problem(field, "blank")]
    if len(slug) > max_length:
        return [Problem(field, "too_long", max_length)]
    return [] if _SLUG.fullmatch(slug) else [Problem(field, "slug")]


def text_problems(
    text: str, field: str, *, max_length: int, multiline: bool = False
) -> list[Problem]:
    """Check prose such as a name or a biography: ``too_long``, ``unsafe``; it may be empty.

    ``lines`` allows newlines and tabs.
    """
    prose = trim(text)
    if len(prose) > max_length:
        return [Problem(field, "too_long", max_length)]
    return (
        [Problem(field, "unsafe")]
        if has_unsafe_prose_characters(prose, multiline=multiline)
        else []
    )


# --------------------------------------------------------------------------- whole records


def _field_problems(field: str, text: str, max_length: int) -> list[Problem]:
    match field:
        case "email":
            return email_problems(text)
        case "url":
            return url_problems(text, max_length=max_length)
        case "slug":
            return slug_problems(text, max_length=max_length)
        case _:
            return text_problems(
                text, field, max_length=max_length, multiline=field in {"bio", "description"}
            )


def _text_values(fields: msgspec.Struct, max_lengths: dict[str, int]) -> dict[str, str]:
    values = ((name, getattr(fields, name, None)) for name in max_lengths)
    return {name: value for name, value in values if isinstance(value, str)}


def user_problems(
    fields: msgspec.Struct, *, charset: UsernameCharset = UsernameCharset.STRICT
) -> list[Problem]:
    """Check every field of a NewUser or UserChanges that is set, in the order of ``LIMITS``.

    With the free alphabet, a username that is the e-mail address (who has no username of its
    own) is judged as an e-mail address, and every problem with it is the e-mail's.
    """
    texts = _text_values(fields, USER_MAX_LENGTHS)
    problems: list[Problem] = []
    if "username" in texts:
        name, address = texts["username"], texts.get("email", "")
        username_is_email = charset is UsernameCharset.PERMISSIVE and canonical(
            trim(name)
        ) == canonical(trim(address))
        if username_is_email and trim(name):
            max_length = USER_MAX_LENGTHS["email"]
            problems += username_problems(name, "email", charset=charset, max_length=max_length)
        else:
            problems += username_problems(name, charset=charset)
    for field, text in texts.items():
        if field != "username":
            problems += _field_problems(field, text, USER_MAX_LENGTHS[field])
    return list(dict.fromkeys(problems))


def tenant_problems(changes: TenantChanges) -> list[Problem]:
    """Check every field of a tenant that is set: name and slug are never blank."""
    texts = _text_values(changes, TENANT_MAX_LENGTHS)
    problems: list[Problem] = []
    for field, text in texts.items():
        if field == "name" and not trim(text):
            problems.append(Problem(field, "blank"))
        else:
            problems += _field_problems(field, text, TENANT_MAX_LENGTHS[field])
    return problems
