"""The decision about a password hash at import: accepted, no password, or refused and why."""

from __future__ import annotations

import re

from dragoman.rules.imported_hashes.verdict import NO_PASSWORD, HashVerdict
from dragoman.rules.imported_hashes.verification import recognise

MAX_LENGTH = 2_048
"""Maximum length of a hash in characters; those that are accepted have less than a quarter."""

_UNUSABLE = re.compile(r"|!.*|\*|\*(?:LK|NP)\*|\*[01]|x|NULL|\\N", re.DOTALL)
_CRYPT_PREFIX = re.compile(r"\{(?:CRYPT|MD5-CRYPT|SHA256-CRYPT|DES-CRYPT)\}", re.IGNORECASE)
_REFUSED = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), reason)
    for pattern, reason in (
        (
            r"[0-9a-f]{32}|(?:unsalted_)?md5\$.*|\$md5\$.*|\{S?MD5\}.*|\{(?:NT|LM|LANMAN|NTLM)\}.*",
            "MD5 and NTLM are too weak",
        ),
        (
            r"[0-9a-f]{40}|(?:unsalted_)?sha1\$.*|\$sha1\$.*|\{SHA1?\}.*|\*[0-9A-F]{40}",
            "SHA-1 without rounds is too weak",
        ),
        (
            r"(?:[0-9a-f]{32}){2,4}|\$?sha[2-5]\d\d\$.*|\{SHA-?[2-5]\d\d\}.*|[${]HMAC-.*",
            "SHA and HMAC without rounds are too weak",
        ),
        (r"(?:\$1|\$apr1|\$md5-crypt|\$md5,.*)\$.*", "MD5 crypt ($1$) is too weak"),
        (r"(?:\$5|\$sha256-crypt)\$.*", "SHA-256 crypt ($5$) is not supported"),
        (r"\$g?y\$.*|\$7\$.*", "yescrypt ($y$) is not supported: no library verifies it"),
        (r"\$2x\$.*", "bcrypt of the faulty version $2x$ is not supported"),
        (r"U\$[PH]\$.*", "phpass over MD5 is not supported"),
        (r"(?:\{[a-z]+\})?SCRAM-SHA-.*", "SCRAM is not supported"),
        (r"srp[$:{(\[].*|\{.*\"verifier\".*", "SRP is not supported"),
    )
)
_DES_CRYPT = re.compile(r"[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}")
_CLEAR = re.compile(r"\{(?:CLEAR(?:TEXT)?|PLAIN(?:TEXT)?|noop)\}.*", re.IGNORECASE | re.DOTALL)
_LOOKS_HASHED = re.compile(
    r"\$[\w.,=-]+\$.*|\{[\w.-]+\}.+|\w+\$[^$]*\$.*|(?:nfkc|trim|meteor|bcrypt_sha256|wrapped_)\$.*"
    r"|(?:pbkdf2|scrypt|argon2|bcrypt|sha\d+|md5)[^A-Za-z].*|U\$.*|[0-9]\|\$.*"
    r"|[0-9a-f]{16,}:[0-9a-f]{32,}|[0-9a-f]{56,}|[A-Za-z0-9+/_-]{40,}={0,2}",
    re.IGNORECASE | re.DOTALL,
)


def judge(encoded: str) -> HashVerdict:
    """Return whether a hash of another system is accepted, and in which form it is stored.

    The same text gives the same verdict on every machine: no time is measured, but the product of
    the cost parameters is limited (``formats``).
    """
    encoded = encoded.strip()
    if _UNUSABLE.fullmatch(encoded) and not _is_digest(encoded):
        return HashVerdict(NO_PASSWORD)
    if len(encoded) > MAX_LENGTH:
        return _unreadable(f"longer than {MAX_LENGTH} characters")
    try:
        found = recognise(encoded)
    except ValueError as error:
        return _refusal(encoded) or _unreadable(_reason(error))
    if found is None:
        return _refusal(encoded) or _unreadable("not a known spelling of a hash")
    try:
        relative_cost = found.hash_format.relative_cost(found.match)
    except ValueError as error:
        return _unreadable(_reason(error))
    if relative_cost > 1:
        detail = f"{found.scheme} with parameters that take more than a second to verify"
        return HashVerdict("", "refused_hash", detail)
    return HashVerdict(found.scheme, stored=found.stored)


def _is_digest(encoded: str) -> bool:
    return any(pattern.fullmatch(encoded) for pattern, _ in _REFUSED)


def _refusal(encoded: str) -> HashVerdict | None:
    """Return the verdict on a hash of a scheme that is known and not accepted, or a clear text."""
    bare = _CRYPT_PREFIX.sub("", encoded, count=1)
    if bare != encoded and _DES_CRYPT.fullmatch(bare):
        return HashVerdict("", "refused_hash", "DES crypt is too weak")
    for pattern, reason in _REFUSED:
        if pattern.fullmatch(bare):
            return HashVerdict("", "refused_hash", reason)
    if _CLEAR.fullmatch(encoded) or not _LOOKS_HASHED.fullmatch(encoded):
        return HashVerdict("", "clear_password", "a password in clear text, not a hash")
    return None


def _unreadable(reason: str) -> HashVerdict:
    return HashVerdict("", "unreadable_hash", f"the hash cannot be read: {reason}")


def _reason(error: ValueError) -> str:
    """Return why a hash cannot be read; only our own messages are known not to contain it."""
    return str(error) if type(error) is ValueError else "malformed"
