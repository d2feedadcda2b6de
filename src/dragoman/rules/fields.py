"""Validation of usernames, e-mail addresses, slugs, URLs and free text; their keys.

Every check ignores leading and trailing white space (``trim`` removes it before storing) and
returns a list of ``Problem``, empty if the text is valid. No check raises.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from enum import Enum

import email_validator
import msgspec

from dragoman.rules import text_keys
from dragoman.rules.errors import Problem
from dragoman.rules.model import TenantChanges
from dragoman.rules.text_keys import MAX_NAME_LENGTH, canonical
from dragoman.rules.unicode_safety import (
    has_invisible_characters,
    has_unsafe_prose_characters,
    mixes_scripts,
)

email_key = text_keys.email_key
search_key = text_keys.search_key
search_words = text_keys.search_words

# Maximum lengths in characters (code points): the longest that a contract documents; for e-mail, RFC 5321.
USER_MAX_LENGTHS: dict[str, int] = {
    "username": 150,
    "email": MAX_NAME_LENGTH,
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

# By default the library rejects domains such as .local and .test, which private networks use.
# Its documentation allows callers to change this list.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class UsernameCharset(Enum):
    """The set of characters that usernames may have at a contract."""

    STRICT = "strict"  # letters and digits of any script, and @ . + - _
    PERMISSIVE = "free"  # also spaces and all other visible characters


def trim(text: str) -> str:
    """Return the text without leading and trailing Unicode white space."""
    return text.strip()


# --------------------------------------------------------------------------- single fields

# Combining marks are allowed after a letter: many scripts cannot be written without them.
_USERNAME_PUNCTUATION = frozenset("@.+-_")


def _in_strict_charset(text: str) -> bool:
    """Return whether a username has only letters with their marks, digits and @ . + - _."""
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
    """Check a username. Problems: ``blank``, ``too_long``, ``unsafe``, ``username``.

    Both the text and its compatibility form (NFKC), by which usernames are compared, must be valid.

    Args:
        text: the username.
        field: the name of the field in the problems.
        charset: the set of allowed characters.
        max_length: the maximum length in characters.
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


# Addresses of which nothing has to be decoded, as nearly all are: the library takes 27 µs for one.
# The last label begins with a letter; "--" in a label may be punycode.
_PLAIN_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[\w%+-]+(?:\.[\w%+-]+)*"
    r"@(?![^@]*--)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)


def is_plain_email(address: str) -> bool:
    """Return whether an address is valid at first sight; False says nothing.

    The address has at most 254 characters.
    """
    return _PLAIN_EMAIL.fullmatch(address) is not None


def email_problems(text: str, field: str = "email") -> list[Problem]:
    """Check the syntax of an e-mail address. Problems: ``too_long``, ``unsafe``, ``email``.

    An empty text means "no address" and is valid. The domain is ``localhost``, or has a dot and
    does not end in a number; private domains such as ``.local`` are valid. DNS is not queried.
    Quoted local parts, address literals and display names are not accepted. The limits are 64
    octets before the @ and 254 characters in total (RFC 5321, RFC 6531).
    """
    address = trim(text)
    if not address:
        return []
    max_length = USER_MAX_LENGTHS["email"]
    if len(address) > max_length:
        return [Problem(field, "too_long", max_length)]
    if is_plain_email(address):
        return []
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


def reads_as_email(username: str) -> bool:
    """Return whether a username, as usernames are compared, is an e-mail address."""
    key = canonical(trim(username))
    return "@" in key and not email_problems(key)


def own_username_problems(username: str, email: str) -> list[Problem]:
    """Check a username that a person chooses for itself. Problem: ``not_own_email``.

    It may be an e-mail address only if it is the person's own one (``email``).
    """
    if reads_as_email(username) and canonical(trim(username)) != canonical(trim(email)):
        return [Problem("username", "not_own_email")]
    return []


_URL = re.compile(
    r"https?://(?:[^\s/?#@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9\u00a1-\U0010ffff-]{1,63}(?<!-)", re.IGNORECASE)


def url_problems(
    text: str, field: str = "url", *, max_length: int = USER_MAX_LENGTHS["url"]
) -> list[Problem]:
    """Check a URL. Problems: ``too_long``, ``unsafe``, ``url``.

    An empty text means "no URL" and is valid. The scheme is http or https (RFC 3986). The host is
    ``localhost``, an IP address, or a name with a dot whose last label has at least two characters
    and is not a number.
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
        return host.startswith("[") == (":" in host)  # IPv6 only: RFC 3986, section 3.2.2
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
    """Check a slug. Problems: ``blank``, ``too_long``, ``slug``.

    A slug consists of ASCII letters, digits, ``-`` and ``_``.
    """
    slug = trim(text)
    if not slug:
        return [Problem(field, "blank")]
    if len(slug) > max_length:
        return [Problem(field, "too_long", max_length)]
    return [] if _SLUG.fullmatch(slug) else [Problem(field, "slug")]


def text_problems(
    text: str, field: str, *, max_length: int, multiline: bool = False
) -> list[Problem]:
    """Check prose such as a name or a biography. Problems: ``too_long``, ``unsafe``.

    Args:
        text: the text; may be empty.
        field: the name of the field in the problems.
        max_length: the maximum length in characters.
        multiline: whether newlines and tabs are allowed.
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
    """Check all fields of a NewUser or UserChanges that are set, in the order of USER_MAX_LENGTHS.

    With ``UsernameCharset.PERMISSIVE``, a username equal to the e-mail address (for users without
    a username of their own) has the maximum length of an e-mail address, and its problems are
    reported for ``email``.
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
    """Check all fields of a tenant that are set; name and slug must not be blank."""
    texts = _text_values(changes, TENANT_MAX_LENGTHS)
    problems: list[Problem] = []
    for field, text in texts.items():
        if field == "name" and not trim(text):
            problems.append(Problem(field, "blank"))
        else:
            problems += _field_problems(field, text, TENANT_MAX_LENGTHS[field])
    return problems
