"""Verification of password hashes of other systems: bcrypt, PBKDF2, scrypt, crypt, SSHA, phpass.

Imported only when such a hash occurs. Cost parameters are limited so that an imported file cannot
overload the server: a hash with higher costs is not recognised.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable
from typing import NamedTuple

from dragoman.rules.crypto import equal_in_constant_time

MAX_BCRYPT_BYTES = 72  # bcrypt ignores further bytes; the library raises instead of cutting
MAX_SCRYPT_MEMORY_BYTES = 129 * 1024 * 1024
"""Memory for N = 65,536 and r = 16; Django's default parameters take 16 MiB."""


class HashFormat(NamedTuple):
    """A hash format; ``matches`` compares a hash with a password encoded as UTF-8."""

    pattern: re.Pattern[str]
    matches: Callable[[re.Match[str], bytes], bool]


def _bcrypt(encoded: re.Match[str], password: bytes) -> bool:
    import bcrypt

    return bcrypt.checkpw(password[:MAX_BCRYPT_BYTES], encoded[0].encode())


def _pbkdf2(encoded: re.Match[str], password: bytes) -> bool:
    salt, rounds = encoded["salt"].encode(), int(encoded["rounds"])
    computed = hashlib.pbkdf2_hmac(encoded["hash"], password, salt, rounds)
    return equal_in_constant_time(computed, b64decode(encoded["sum"], validate=True))


def _scrypt(encoded: re.Match[str], password: bytes) -> bool:
    n, r, p = int(encoded["n"]), int(encoded["r"]), int(encoded["p"])
    salt = encoded["salt"].encode()
    computed = hashlib.scrypt(
        password, salt=salt, n=n, r=r, p=p, maxmem=MAX_SCRYPT_MEMORY_BYTES, dklen=64
    )
    return equal_in_constant_time(computed, b64decode(encoded["sum"], validate=True))


_SSHA_ALGORITHMS = {"SSHA": "sha1", "SSHA256": "sha256", "SSHA384": "sha384", "SSHA512": "sha512"}


def _ssha(encoded: re.Match[str], password: bytes) -> bool:
    raw = b64decode(encoded["sum"], validate=True)
    computed = hashlib.new(_SSHA_ALGORITHMS[encoded["scheme"]], usedforsecurity=False)
    expected, salt = raw[: computed.digest_size], raw[computed.digest_size :]
    computed.update(password + salt)
    return equal_in_constant_time(computed.digest(), expected)


def _phpass(encoded: re.Match[str], password: bytes) -> bool:
    from passlib.handlers.phpass import phpass

    return phpass.verify(password, encoded[0])


def _sha512_crypt(encoded: re.Match[str], password: bytes) -> bool:
    from passlib.handlers.sha2_crypt import sha512_crypt

    return sha512_crypt.verify(password, encoded[0])


# `*_sha256$` and `scrypt$` are Django's (django.contrib.auth.hashers); `$P$` (phpBB: `$H$`) is
# WordPress's, at most 2^18 rounds; `{SSHA}` is OpenLDAP's (slapd.conf, password-hash).
HASH_FORMATS = (
    HashFormat(re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}"), _bcrypt),
    HashFormat(
        re.compile(
            r"pbkdf2_(?P<hash>sha1|sha256|sha512)\$(?P<rounds>[1-9][0-9]{0,5}|[1-3][0-9]{6})"
            r"\$(?P<salt>[^$]{1,255})\$(?P<sum>[A-Za-z0-9+/=]{20,90})"
        ),
        _pbkdf2,
    ),
    HashFormat(
        re.compile(
            r"scrypt\$(?P<n>1024|2048|4096|8192|16384|32768|65536)\$(?P<salt>[^$]{1,255})"
            r"\$(?P<r>[1-9]|1[0-6])\$(?P<p>[1-9]|1[0-6])\$(?P<sum>[A-Za-z0-9+/]{86}==)"
        ),
        _scrypt,
    ),
    HashFormat(
        re.compile(r"\{(?P<scheme>SSHA(?:256|384|512)?)\}(?P<sum>[A-Za-z0-9+/=]{28,255})"), _ssha
    ),
    HashFormat(re.compile(r"\$[PH]\$[5-9A-G][./0-9A-Za-z]{30}"), _phpass),
    HashFormat(
        re.compile(r"\$6\$(?:rounds=[1-9][0-9]{3,5}\$)?[./0-9A-Za-z]{0,16}\$[./0-9A-Za-z]{86}"),
        _sha512_crypt,
    ),
)


def recognises(encoded: str) -> bool:
    """Return whether the text is a hash that ``verify`` supports."""
    return any(hash_format.pattern.fullmatch(encoded) for hash_format in HASH_FORMATS)


def verify(encoded: str, password: bytes) -> bool:
    """Return whether the hash matches the password; False for an unsupported or malformed hash."""
    for hash_format in HASH_FORMATS:
        if match := hash_format.pattern.fullmatch(encoded):
            try:
                return hash_format.matches(match, password)
            except ValueError:  # base64, salt or parameters that the library rejects
                return False
    return False
