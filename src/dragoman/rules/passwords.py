"""Password rules (length, common passwords, similarity to names) and argon2id hashing."""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import argon2
import msgspec

from dragoman.rules import argon2_hashes
from dragoman.rules.errors import Problem
from dragoman.rules.imported_hashes.verdict import HashVerdict

MAX_BYTES = 1_024
"""Maximum length of a password in UTF-8, at every contract; longer ones are never hashed."""

# --------------------------------------------------------------------------- rules

SIMILARITY_THRESHOLD_PERCENT = 70
"""Share of common characters from which a password is too similar to a name."""
MAX_CONTEXT_LENGTH = 301
"""Maximum number of characters compared per context entry: that of the longest display name."""
STRONG_LENGTH = 8
"""Minimum length of the passwords of owners and platform administrators, at every contract."""
LENGTH_STEPS = (0, 5, 8, 10, 12, 15)
"""Common minimum lengths of passwords. The greatest that a password reaches is kept with its hash,
so that it can be told where it is too short to sign in; its length itself is not."""
_CONTEXT_ORDER = ("username", "first_name", "last_name", "email")


class PasswordRules(msgspec.Struct, frozen=True):
    """Requirements for new passwords (after Django's "Password validation").

    Attributes:
        min_length: the minimum length in characters.
        reject_common: reject the 20,000 most common passwords.
        reject_numeric: reject passwords that consist of digits only.
        reject_similar: reject passwords similar to the user's names or e-mail address.
        max_length: the maximum length in characters; 0 for none.
    """

    min_length: int = 1
    reject_common: bool = False
    reject_numeric: bool = False
    reject_similar: bool = False
    max_length: int = 0


def password_rule_problems(
    password: str, rules: PasswordRules, *, context: Mapping[str, str], field: str = "password"
) -> list[Problem]:
    """Return all problems with a new password.

    They are those of its normalized form, which is hashed.
    The order is that of Django's validators: similar, too short, common, numeric. If the password
    is blank, too long, or contains lone surrogates or NUL, only this problem is returned.

    Args:
        password: the new password.
        rules: the requirements.
        context: the user's names and e-mail address by field; the name of the first field that the
            password resembles is the ``detail`` of ``similar``.
        field: the name of the field in the problems.
    """
    if not password:
        return [Problem(field, "blank")]
    raw = _utf8(password)
    if raw is None or "\0" in password:
        return [Problem(field, "unsafe")]
    if len(raw) <= MAX_BYTES:  # judged first: normalization takes quadratic time
        password = normalized(password)
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


def weakness(password: str, *, username: str, email: str, field: str = "password") -> list[Problem]:
    """Return why a password is too weak for owners and platform administrators, if it is.

    It needs ``STRONG_LENGTH`` characters, and must not be the user's name or address.

    Args:
        password: the password.
        username: the user's username.
        email: the user's e-mail address; may be empty.
        field: the name of the field in the problems.
    """
    if len(password) < STRONG_LENGTH:
        return [Problem(field, "weak", STRONG_LENGTH)]
    lowered = password.casefold().strip()
    for name, value in (("username", username), ("email", email)):
        if value and lowered == value.casefold():
            return [Problem(field, "weak", name)]
    return []


def length_step(password: str) -> int:
    """Return the greatest of LENGTH_STEPS that the length of a password reaches, in characters.

    The caller has judged its length in bytes.
    """
    length = len(normalized(password))
    return max(step for step in LENGTH_STEPS if step <= length)


def reaches_length(step: int | None, min_length: int) -> bool | None:
    """Return whether a password has at least ``min_length`` characters; None if unknown.

    ``step`` is what ``length_step`` returned for it; None if that was not kept.
    """
    if not min_length:
        return True
    if step is None:
        return None
    if step >= min_length:
        return True
    next_step = next((each for each in LENGTH_STEPS if each > step), None)
    return False if next_step is not None and next_step <= min_length else None


def effective_rules(policy: str, contract_rules: PasswordRules) -> PasswordRules:
    """Return the contract's documented rules, tightened by the operator's policy.

    ``policy`` is DRAGOMAN_PASSWORD_POLICY. ``documented`` adds nothing. ``standard`` requires 8
    characters and rejects common passwords and those similar to the user's names. ``hardened``
    also requires 15 characters (NIST SP 800-63B-4, section 3.1.1.2: passwords as the only
    factor). Raises ValueError for any other policy.
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
    """Return the first field to which, or to a word of which, the password is similar; or None."""
    lowered = password.lower()
    other_names = (name for name in context if name not in _CONTEXT_ORDER)
    for name in (*_CONTEXT_ORDER, *other_names):
        text = context.get(name, "").lower()[:MAX_CONTEXT_LENGTH]
        if any(_is_similar(lowered, part) for part in {text, *re.split(r"\W+", text)}):
            return name
    return None


def _is_similar(a: str, b: str) -> bool:
    """Return whether 2 · common characters / total length reaches the threshold, in any order."""
    threshold = SIMILARITY_THRESHOLD_PERCENT * (len(a) + len(b))
    if not b or 200 * min(len(a), len(b)) < threshold:
        return False
    return 200 * (Counter(a) & Counter(b)).total() >= threshold


@cache
def _common_passwords() -> str:
    """Return the list (see NOTICE) in lower case, with a newline before and after every entry.

    One string of 160 kB instead of a set of 2 MB; a search takes a few microseconds.
    """
    compressed = Path(__file__).with_name("common-passwords.txt.gz").read_bytes()
    return gzip.decompress(compressed).decode()


def is_common(password: str) -> bool:
    """Return whether a password is one of the 20,000 most common ones, ignoring case."""
    lowered = password.lower().strip()
    return lowered.isprintable() and f"\n{lowered}\n" in _common_passwords()


# --------------------------------------------------------------------------- hashes

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_hasher = argon2.PasswordHasher(
    time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, hash_len=32, salt_len=16
)

# The hash of a random password. Sign-in verifies against it if the user does not exist, so that the
# response time does not reveal this.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$O1Lja+jhP7x+dxFpVTt0Cg$"
    "2SFYlV5bQb2aP4pQsbx70WAznSWISMpUMlX737udRaI"
)


def normalized(password: str) -> str:
    """Return the form of a password that is hashed, whatever keyboard it comes from: NFC (RFC 8265).

    The caller has judged its length.
    """
    return password if password.isascii() else unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password (19 MiB, two passes, one lane, 16 bytes of salt).

    Takes about 30 ms of one core. Raises UnicodeEncodeError for lone surrogates, which
    ``password_rule_problems`` rejects.
    """
    return _hasher.hash(normalized(password))


def verify_password(password: str, encoded: str) -> bool:
    """Return whether a hash matches a password; never raises.

    Supports argon2, and the hashes of other systems that ``judge`` accepts.
    False for any other text, and for passwords longer than 1,024 bytes.

    Hashes that were not made of the normalized password match as well: one that has several
    spellings is hashed in each of them, a right one too, so that the work depends on nothing but
    the password that was sent.
    """
    raw = _utf8(password)
    if raw is None or len(raw) > MAX_BYTES:
        return False
    spellings = {raw}
    if not password.isascii():
        spellings |= {unicodedata.normalize(form, password).encode() for form in ("NFC", "NFD")}
    return any([_verify_spelling(spelling, encoded) for spelling in spellings])  # noqa: C419 - all


def _verify_spelling(raw: bytes, encoded: str) -> bool:
    if encoded.startswith("$argon2"):
        return argon2_hashes.verify(encoded, raw)
    from dragoman.rules.imported_hashes import verification

    return verification.verify(encoded, raw)


def needs_rehash(encoded: str) -> bool:
    """Return whether a hash differs in format or parameters from those of ``hash_password``."""
    if not (encoded.startswith("$argon2id$v=19$") and argon2_hashes.is_supported(encoded)):
        return True
    try:
        return _hasher.check_needs_rehash(encoded)
    except ValueError:
        return True


def judge(encoded: str) -> HashVerdict:
    """Return whether an import accepts a hash of another system, and in which form it is stored.

    An unusable hash (empty, ``!…``, ``*``, ``x``, ``NULL``) says that the user has no password.
    """
    from dragoman.rules.imported_hashes import judgement

    return judgement.judge(encoded)


def wrap(encoded: str) -> str:
    """Return argon2id over a weak hash (``{SSHA…}``), so that nothing weak is stored.

    Takes as long as ``hash_password``. Other hashes are returned as they are.
    ``verify_password`` supports the result, which is replaced at the first sign-in.
    """
    from dragoman.rules.imported_hashes import wrapping

    split = wrapping.split(encoded)
    if split is None:
        return encoded
    prefix, digest = split
    return prefix + _hasher.hash(digest)


def _utf8(password: str) -> bytes | None:
    try:
        return password.encode()
    except UnicodeEncodeError:
        return None
