"""The formats of stored hashes, and the cost of verifying one."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable
from typing import NamedTuple

from dragoman.rules import argon2_hashes
from dragoman.rules.imported_hashes import algorithms, stored_forms

# Maximum costs of a hash that is imported: they take between 0.4 and 1 second of one core, on two
# machines (docs/decisions/0030-imported-hashes.md).
MAX_BCRYPT_COST = 14
MAX_SCRYPT_COST = 2 * 1024 * 1024
"""Maximum N · r · p."""
MAX_SCRYPT_MEMORY_COST = 1024 * 1024
"""Maximum N · r: 128 MiB."""
MAX_PBKDF2_ROUNDS = {"sha1": 5_300_000, "sha256": 2_500_000, "sha512": 1_500_000}
"""Maximum rounds times blocks of the key, by digest."""


class HashFormat(NamedTuple):
    """A hash format in its stored spelling.

    Attributes:
        scheme: the short name of the scheme, a template over the pattern's groups.
        pattern: matches the whole hash.
        matches: compares a hash with a password encoded as UTF-8.
        relative_cost: the cost of a verification; above 1 a hash is not imported.
        verified_above_limit: verify more costly hashes that are in the database, because earlier
            versions did; their pattern has the limits of then.
    """

    scheme: str
    pattern: re.Pattern[str]
    matches: Callable[[re.Match[str], bytes], bool]
    relative_cost: Callable[[re.Match[str]], float] = lambda _: 0.0
    verified_above_limit: bool = False

    def name_of(self, match: re.Match[str]) -> str:
        """Return the short name of a hash's scheme."""
        return self.scheme.format_map(match.groupdict()).lower()


def find(stored: str) -> tuple[HashFormat, re.Match[str]] | None:
    """Return the format of a hash, without any preparation of the password, and its match."""
    for hash_format in HASH_FORMATS:
        if match := hash_format.pattern.fullmatch(stored):
            return hash_format, match
    return None


def _bcrypt_cost(encoded: re.Match[str]) -> float:
    return 2.0 ** (int(encoded["cost"]) - MAX_BCRYPT_COST)


def _pbkdf2_cost(digest: str, rounds: int, key_bytes: int) -> float:
    blocks = -(-key_bytes // hashlib.new(digest).digest_size)
    return rounds * blocks / MAX_PBKDF2_ROUNDS[digest]


def _phc_pbkdf2_cost(encoded: re.Match[str]) -> float:
    return _pbkdf2_cost(encoded["digest"], int(encoded["rounds"]), int(encoded["length"]))


def _django_pbkdf2_cost(encoded: re.Match[str]) -> float:
    key = b64decode(encoded["sum"], validate=True)
    return _pbkdf2_cost(encoded["digest"], int(encoded["rounds"]), len(key))


def _scrypt_cost(encoded: re.Match[str], n: int) -> float:
    r, p = int(encoded["r"]), int(encoded["p"])
    return max(n * r * p / MAX_SCRYPT_COST, n * r / MAX_SCRYPT_MEMORY_COST)


def _phc_scrypt_cost(encoded: re.Match[str]) -> float:
    return _scrypt_cost(encoded, 1 << int(encoded["ln"]))


def _django_scrypt_cost(encoded: re.Match[str]) -> float:
    return _scrypt_cost(encoded, int(encoded["n"]))


def _wrapped_cost(encoded: re.Match[str]) -> float:
    inner = argon2_hashes.PATTERN.fullmatch(encoded["argon2"])
    if inner is None:
        raise ValueError("the argon2 hash in it is malformed")
    return argon2_hashes.relative_cost(inner)


_SCRYPT_COSTS = r"ln=(?P<ln>[1-9]|[12][0-9]),r=(?P<r>[1-9][0-9]{0,3}),p=(?P<p>[1-9][0-9]{0,3})"
_SALT_AND_KEY = rf"\$(?P<salt>{stored_forms.TEXT}{{2,340}})\$(?P<key>{stored_forms.TEXT}{{22,171}})"
_SSHA = "SSHA(?:256|384|512)?"

# `*_sha256$` and `scrypt$` are Django's (django.contrib.auth.hashers); `$P$` (phpBB: `$H$`) is
# WordPress's, `$S$` Drupal's, both at most 2^18 rounds; `{SSHA}` is OpenLDAP's (slapd.conf,
# password-hash).
HASH_FORMATS = (
    HashFormat(
        "bcrypt",
        re.compile(r"\$2[aby]\$(?P<cost>0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}"),
        algorithms.bcrypt,
        _bcrypt_cost,
        verified_above_limit=True,
    ),
    HashFormat(
        "{kind}",
        argon2_hashes.PATTERN,
        algorithms.argon2,
        argon2_hashes.relative_cost,
        verified_above_limit=True,
    ),
    HashFormat(
        "pbkdf2-{digest}",
        re.compile(
            r"\$pbkdf2-(?P<digest>sha1|sha256|sha512)\$i=(?P<rounds>[1-9][0-9]{0,8})"
            rf",l=(?P<length>[1-9][0-9]{{1,2}}){_SALT_AND_KEY}"
        ),
        algorithms.phc_pbkdf2,
        _phc_pbkdf2_cost,
    ),
    HashFormat(
        "pbkdf2-{digest}",
        re.compile(
            r"pbkdf2_(?P<digest>sha1|sha256|sha512)\$(?P<rounds>[1-9][0-9]{0,5}|[1-3][0-9]{6})"
            r"\$(?P<salt>[^$]{1,255})\$(?P<sum>[A-Za-z0-9+/=]{20,90})"
        ),
        algorithms.django_pbkdf2,
        _django_pbkdf2_cost,
        verified_above_limit=True,
    ),
    HashFormat(
        "scrypt",
        re.compile(rf"\$scrypt\${_SCRYPT_COSTS}{_SALT_AND_KEY}"),
        algorithms.phc_scrypt,
        _phc_scrypt_cost,
    ),
    HashFormat(
        "scrypt",
        re.compile(
            r"scrypt\$(?P<n>1024|2048|4096|8192|16384|32768|65536)\$(?P<salt>[^$]{1,255})"
            r"\$(?P<r>[1-9]|1[0-6])\$(?P<p>[1-9]|1[0-6])\$(?P<sum>[A-Za-z0-9+/]{86}==)"
        ),
        algorithms.django_scrypt,
        _django_scrypt_cost,
        verified_above_limit=True,
    ),
    HashFormat(
        "firescrypt",
        re.compile(
            rf"\$firescrypt\${_SCRYPT_COSTS}{_SALT_AND_KEY}"
            rf"\$(?P<separator>{stored_forms.TEXT}*)\$(?P<signer>{stored_forms.TEXT}{{22,171}})"
        ),
        algorithms.firescrypt,
        _phc_scrypt_cost,
    ),
    HashFormat(
        "{name}",
        re.compile(rf"\{{(?P<name>{_SSHA})\}}(?P<sum>[A-Za-z0-9+/=]{{28,255}})"),
        algorithms.ssha,
    ),
    HashFormat(
        "wrapped-{name}",
        re.compile(
            rf"wrapped_(?P<name>{_SSHA.lower()})\$(?P<salt>{stored_forms.TEXT}*)"
            r"(?P<argon2>\$argon2id\$.+)"
        ),
        algorithms.wrapped_ssha,
        _wrapped_cost,
    ),
    HashFormat("phpass", re.compile(r"\$[PH]\$[5-9A-G][./0-9A-Za-z]{30}"), algorithms.phpass),
    HashFormat(
        "sha512-phpass",
        re.compile(r"\$S\$(?P<log2>[5-9A-G])(?P<salt>[./0-9A-Za-z]{8})(?P<sum>[./0-9A-Za-z]{43})"),
        algorithms.sha512_phpass,
    ),
    HashFormat(
        "sha512-crypt",
        re.compile(
            r"\$6\$(?:rounds=(?P<rounds>[1-9][0-9]{3,5})\$)?"
            r"[./0-9A-Za-z]{0,16}\$[./0-9A-Za-z]{86}"
        ),
        algorithms.sha512_crypt,
    ),
)
