"""Password floors, common and contextual passwords; hash, verify, needs_rehash."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import argon2
import msgspec
from argon2.exceptions import VerificationError

from dragoman.rules.errors import Problem

MAX_BYTES = 1_024  # of a password's UTF-8, at every contract; longer ones are never hashed

# --------------------------------------------------------------------------- floors

SIMILARITY_THRESHOLD_PERCENT = (
    70  # per cent of the characters in common, from which on a password is too similar
)
MAX_CONTEXT_LENGTH = 301  # as much of a context entry is looked at: the longest name there is
_CONTEXT_ORDER = ("username", "first_name", "last_name", "email")


class PasswordRules(msgspec.Struct, frozen=True):
    """What a new password must be at least; lengths in characters, ``maximum`` 0 is none.

    ``common``, ``numeric`` and ``similar`` refuse common passwords, digits alone, and what
    resembles the user's names (Django: "Password validation").
    """

    min_length: int = 1
    reject_common: bool = False
    reject_numeric: bool = False
    reject_similar: bool = False
    max_length: int = 0


def password_rule_problems(
    password: str, rules: PasswordRules, *, context: Mapping[str, str], field: str = "password"
) -> list[Problem]:
    """Say everything that is wrong with a new password, as problems of ``field``.

    ``context`` holds the user's own texts under their fields' names; the first that resembles
    the password is the ``detail`` of ``similar``. The order is that of Django's validators:
    similar, too short, common, numeric. A password that is blank, too long or no Unicode text
    (lone surrogates, NUL) has that one problem.
    """
    if not password:
        return [Problem(field, "blank")]
    raw = _utf8(password)
    if raw is None or "\0" in password:
        return [Problem(field, "unsafe")]
    if rules.max_length and len(password) > rules.max_length:
        return [Problem(field, "too_long", rules.max_length)]
    if len(raw) > MAX_BYTES:
        return [Problem(field, "too_many_bytes", MAX_BYTES)]
    problems: list[Problem] = []
    if rules.reject_similar and (similar_field := _similar_field(password, context)):
        problems.append(Problem(field, "similar", similar_field))
    if len(password) < rules.min_length:
        problems.append(Problem(field, "too_short", rules.min_length))
    if rules.reject_common and is_common(password):
        problems.append(Problem(field, "common"))
    if rules.reject_numeric and password.isdigit():
        problems.append(Problem(field, "numeric"))
    return problems


def effective_rules(policy: str, contract_rules: PasswordRules) -> PasswordRules:
    """Give the stricter of a contract's documented floor and the operator's policy.

    ``policy`` is DRAGOMAN_PASSWORD_POLICY: ``documented`` adds nothing, ``standard`` asks for
    8 characters and refuses common and contextual passwords, ``hardened`` asks for 15
    (NIST SP 800-63B-4, section 3.1.1.2, for passwords used alone). Raises ValueError on others.
    """
    min_lengths = {"documented": 0, "standard": 8, "hardened": 15}
    if policy not in min_lengths:
        raise ValueError(policy)
    if policy == "documented":
        return contract_rules
    min_length = max(contract_rules.min_length, min_lengths[policy])
    return msgspec.structs.replace(
        contract_rules, min_length=min_length, reject_common=True, reject_similar=True
    )


def _similar_field(password: str, context: Mapping[str, str]) -> str | None:
    """Name the first context entry that the password resembles as a whole or in one word."""
    lowered = password.lower()
    other_names = (name for name in context if name not in _CONTEXT_ORDER)
    for name in (*_CONTEXT_ORDER, *other_names):
        text = context.get(name, "").lower()[:MAX_CONTEXT_LENGTH]
        if any(_is_similar(lowered, part) for part in {text, *re.split(r"\W+", text)}):
            return name
    return None


def _is_similar(a: str, b: str) -> bool:
    """Compare the characters of both regardless of order: 2·common / (length of both)."""
    threshold = SIMILARITY_THRESHOLD_PERCENT * (len(a) + len(b))
    if not b or 200 * min(len(a), len(b)) < threshold:
        return False
    return 200 * (Counter(a) & Counter(b)).total() >= threshold


@cache
def _common_passwords() -> str:
    """Load the list (see NOTICE): a newline before and after every entry, all in lower case.

    One text of 160 kB instead of a set of 2 MB; to search it takes some microseconds.
    """
    compressed = Path(__file__).with_name("common-passwords.txt.gz").read_bytes()
    return gzip.decompress(compressed).decode()


def is_common(password: str) -> bool:
    """Say whether a password is among the 20,000 commonest, regardless of case."""
    lowered = password.lower().strip()
    return lowered.isprintable() and f"\n{lowered}\n" in _common_passwords()


# --------------------------------------------------------------------------- hashes

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_hasher = argon2.PasswordHasher(
    time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, hash_len=32, salt_len=16
)

# Of a password that nobody knows: what a name that nobody has is verified against.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$O1Lja+jhP7x+dxFpVTt0Cg$"
    "2SFYlV5bQb2aP4pQsbx70WAznSWISMpUMlX737udRaI"
)

# Bounds for hashes made elsewhere: an import must not be able to ask for hours or gigabytes.
_MAX_MEMORY_KIB, _MAX_PASSES, _MAX_LANES = 256 * 1024, 10, 16
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=1[69])?\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,3})"
    r"\$[A-Za-z0-9+/]{8,128}\$[A-Za-z0-9+/]{8,128}"
)

# Hashes within a prefix: Django's bcrypt and argon2; Django's bcrypt_sha256 and Meteor's, which
# hash the hexadecimal SHA-256 of the password.
_PREFIXED_HASH = re.compile(r"(meteor\$|bcrypt_sha256\$|bcrypt\$|argon2)(\$(?:2|argon2).*)")
_SHA256_PREFIXES = frozenset({"meteor$", "bcrypt_sha256$"})


def hash_password(password: str) -> str:
    """Hash a password with argon2id (19 MiB, two passes, one lane, 16 bytes of salt).

    Takes some 30 ms of one core and 19 MiB. Raises UnicodeEncodeError on lone surrogates,
    which ``problems`` refuses.
    """
    return _hasher.hash(password)


def verify_password(password: str, encoded: str) -> bool:
    """Say whether the hash was made from this password.

    Besides argon2, hashes of other systems are verified as they come: bcrypt, Django's
    ``pbkdf2_*$``, ``bcrypt_sha256$``, ``bcrypt$``, ``scrypt$`` and ``argon2$``, ``{SSHA}``,
    phpass, SHA-512 crypt, and ``meteor$`` before bcrypt or argon2 over the hexadecimal SHA-256.
    False for whatever cannot be read, and for passwords over 1,024 bytes; never raises.
    """
    raw = _utf8(password)
    if raw is None or len(raw) > MAX_BYTES:
        return False
    inner, prehashed = _strip_prefix(encoded)
    if prehashed:
        raw = hashlib.sha256(raw).hexdigest().encode()
    if inner.startswith("$argon2"):
        return _verify_argon2(raw, inner)
    from dragoman.rules import imported_hashes

    return imported_hashes.verify(inner, raw)


def needs_rehash(encoded: str) -> bool:
    """Say whether a hash was made otherwise than ``hash_password`` makes it today."""
    if not (encoded.startswith("$argon2id$v=19$") and _ARGON2.fullmatch(encoded)):
        return True
    try:
        return _hasher.check_needs_rehash(encoded)
    except ValueError:
        return True


def recognises(encoded: str) -> bool:
    """Say whether this is a hash that ``verify_password`` can judge, for imports."""
    inner, _ = _strip_prefix(encoded)
    if inner.startswith("$argon2"):
        return _is_argon2(inner)
    from dragoman.rules import imported_hashes

    return imported_hashes.recognises(inner)


def _utf8(password: str) -> bytes | None:
    try:
        return password.encode()
    except UnicodeEncodeError:
        return None


def _strip_prefix(encoded: str) -> tuple[str, bool]:
    """Take the prefix off a hash; say whether it was made over a hexadecimal SHA-256."""
    if match := _PREFIXED_HASH.fullmatch(encoded):
        return match[2], match[1] in _SHA256_PREFIXES
    return encoded, False


def _is_argon2(encoded: str) -> bool:
    match = _ARGON2.fullmatch(encoded)
    if match is None:
        return False
    memory, passes, lanes = (int(number) for number in match.groups())
    return memory <= _MAX_MEMORY_KIB and passes <= _MAX_PASSES and lanes <= _MAX_LANES


def _verify_argon2(password: bytes, encoded: str) -> bool:
    if not _is_argon2(encoded):
        return False
    try:
        return _hasher.verify(encoded, password)
    except (VerificationError, ValueError):
        return False
