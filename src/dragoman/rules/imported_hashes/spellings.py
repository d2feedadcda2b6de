"""Translate the self-describing spellings of hashes into the stored one."""

from __future__ import annotations

import re
from collections.abc import Callable

from dragoman.rules.imported_hashes import stored_forms

_LN_IS_LOG2_TO = 64
"""Up to here ``ln`` is the logarithm of scrypt's N, as PHC says; above it, some write N itself."""
_BARE = r"(?P<bare>\$(?:2|6\$|argon2).*)"
_SALT_AND_KEY = r"\$(?P<salt>[A-Za-z0-9+/._=-]{2,344})\$(?P<key>[A-Za-z0-9+/._=-]{8,176})"
_ROUNDS = "(?P<rounds>[1-9][0-9]{0,8})"
_SCRYPT_COSTS = r"ln=(?P<ln>[1-9][0-9]{0,9}),r=(?P<r>[1-9][0-9]{0,3}),p=(?P<p>[1-9][0-9]{0,3})"


def _bare(match: re.Match[str]) -> str:
    return match["bare"]


def _pbkdf2(match: re.Match[str]) -> str:
    digest = (match["digest"] or "sha1").lower().removeprefix("-")
    salt, key = stored_forms.decode(match["salt"]), stored_forms.decode(match["key"])
    return stored_forms.pbkdf2(digest, int(match["rounds"]), salt, key)


def _phc_pbkdf2(match: re.Match[str]) -> str:
    key = stored_forms.decode(match["key"])
    if match["length"] and int(match["length"]) != len(key):
        raise ValueError("the key has another length than l= says")
    return _pbkdf2(match)


def _phc_scrypt(match: re.Match[str]) -> str:
    salt, key = stored_forms.decode(match["salt"]), stored_forms.decode(match["key"])
    return stored_forms.scrypt(_n(match["ln"]), int(match["r"]), int(match["p"]), salt, key)


def _n(ln: str) -> int:
    number = int(ln)
    return number if number > _LN_IS_LOG2_TO else 1 << number


def _firescrypt(match: re.Match[str]) -> str:
    salt, key, separator, signer_key = (
        stored_forms.decode(match[part]) for part in ("salt", "key", "separator", "signer")
    )
    n, r, p = _n(match["ln"]), int(match["r"]), int(match["p"])
    return stored_forms.firescrypt(n, r, p, salt, key, separator, signer_key)


def _hex_pbkdf2(match: re.Match[str]) -> str:
    salt, key = match["salt"].encode(), bytes.fromhex(match["key"])
    return stored_forms.pbkdf2(match["digest"], int(match["rounds"]), salt, key)


def _hex_scrypt(match: re.Match[str]) -> str:
    salt, key = match["salt"].encode(), bytes.fromhex(match["key"])
    return stored_forms.scrypt(int(match["n"]), int(match["r"]), int(match["p"]), salt, key)


def _upper_scheme(match: re.Match[str]) -> str:
    return match["scheme"].upper() + match["rest"]


def _sha512_crypt(match: re.Match[str]) -> str:
    return f"$6${match['rest']}"


# Django's prefixes; those of RFC 2307 and of Dovecot
_DJANGO_BCRYPT = rf"bcrypt\${_BARE}"
_DJANGO_ARGON2 = r"argon2(?P<bare>\$argon2.*)"
_CRYPT = rf"\{{(?:CRYPT|BCRYPT|BLF-CRYPT|SHA512-CRYPT|ARGON2|ARGON2I|ARGON2ID)\}}{_BARE}"
_SSHA = r"(?P<scheme>\{SSHA(?:256|384|512)?\})(?P<rest>.*)"
# OpenLDAP's pw-pbkdf2; passlib; the PHC string format, also with padding
_LDAP_PBKDF2 = rf"\{{PBKDF2(?P<digest>-SHA1|-SHA256|-SHA512)?\}}{_ROUNDS}{_SALT_AND_KEY}"
_PASSLIB_PBKDF2 = rf"\$pbkdf2(?P<digest>-sha1|-sha256|-sha512)?\${_ROUNDS}{_SALT_AND_KEY}"
_PHC_PBKDF2 = (
    rf"\$pbkdf2(?P<digest>-sha1|-sha256|-sha512)?\$i={_ROUNDS}"
    rf"(?:,l=(?P<length>[0-9]{{1,3}}))?{_SALT_AND_KEY}"
)
_PHC_SCRYPT = rf"\$scrypt\${_SCRYPT_COSTS}{_SALT_AND_KEY}"
_FIRESCRYPT = (
    rf"\$firescrypt\${_SCRYPT_COSTS}{_SALT_AND_KEY}"
    r"\$(?P<separator>[A-Za-z0-9+/_=-]{0,88})\$(?P<signer>[A-Za-z0-9+/_=-]{22,176})"
)
# Werkzeug's: the salt is text, the key hexadecimal
_TEXT_AND_HEX = r"\$(?P<salt>[^$]{1,255})\$(?P<key>(?:[0-9a-f]{2}){16,128})"
_HEX_PBKDF2 = rf"pbkdf2:(?P<digest>sha1|sha256|sha512):{_ROUNDS}{_TEXT_AND_HEX}"
_HEX_SCRYPT = (
    r"scrypt:(?P<n>[1-9][0-9]{0,9}):(?P<r>[1-9][0-9]{0,3}):(?P<p>[1-9][0-9]{0,3})" + _TEXT_AND_HEX
)
_SHA512_CRYPT = r"\$sha512-crypt\$(?P<rest>.*)"

_SPELLINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(_DJANGO_BCRYPT), _bare),
    (re.compile(_DJANGO_ARGON2), _bare),
    (re.compile(_CRYPT, re.IGNORECASE), _bare),
    (re.compile(_SSHA, re.IGNORECASE), _upper_scheme),
    (re.compile(_LDAP_PBKDF2, re.IGNORECASE), _pbkdf2),
    (re.compile(_PASSLIB_PBKDF2), _pbkdf2),
    (re.compile(_PHC_PBKDF2), _phc_pbkdf2),
    (re.compile(_PHC_SCRYPT), _phc_scrypt),
    (re.compile(_FIRESCRYPT), _firescrypt),
    (re.compile(_HEX_PBKDF2), _hex_pbkdf2),
    (re.compile(_HEX_SCRYPT), _hex_scrypt),
    (re.compile(_SHA512_CRYPT), _sha512_crypt),
)
_FLAGS = (stored_forms.NFKC, stored_forms.TRIM, stored_forms.METEOR)


def to_stored(encoded: str) -> str:
    """Return the stored spelling of a hash; a hash that has only one is returned as it is.

    Raises ValueError, without the hash, if it has the prefix of a spelling and cannot be read.
    """
    for flag in _FLAGS:
        if encoded.startswith(flag):
            return flag + to_stored(encoded[len(flag) :])
    for pattern, translate in _SPELLINGS:
        if match := pattern.fullmatch(encoded):
            return translate(match)
    return encoded
