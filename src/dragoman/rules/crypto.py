"""Makes credentials, digests them, compares in constant time; signs and seals with a key.

Keys are bytes (the server's key, 32 or more); ``purpose`` keeps one use of a key apart from
every other: what was made for one purpose is worth nothing for another.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

# Meteor's alphabet for ids: no characters that are easily mistaken for each other.
READABLE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
PUBLIC_ID_LENGTH = 17
PASSWORD_LENGTH = 24
MAC_BYTES = 16  # of a signed text; 128 bits
NONCE_BYTES = 12  # of AES-GCM: NIST SP 800-38D, section 8.2

_UPPER, _LOWER, _DIGITS = READABLE_ALPHABET[8:30], READABLE_ALPHABET[30:], READABLE_ALPHABET[:8]


def _random_string(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def generate_hex(n_bytes: int = 20) -> str:
    """Make a credential of ``n_bytes`` random bytes, written as twice as many hex digits."""
    return secrets.token_hex(n_bytes)


def generate_urlsafe(length: int = 43) -> str:
    """Make a credential of ``n`` characters out of A-Z a-z 0-9 _ - (6 bits each)."""
    return secrets.token_urlsafe(length)[:length]


def generate_number() -> int:
    """Make a random number above 0 that fits into 64 bits with a sign."""
    return secrets.randbits(62) + 1


def generate_public_id() -> str:
    """Make a public id: 17 characters of Meteor's alphabet, 98 bits."""
    return _random_string(READABLE_ALPHABET, PUBLIC_ID_LENGTH)


def generate_password() -> str:
    """Make a password of 24 readable characters (138 bits) with both cases and a digit."""
    while True:
        password = _random_string(READABLE_ALPHABET, PASSWORD_LENGTH)
        if all(set(password) & set(kind) for kind in (_UPPER, _LOWER, _DIGITS)):
            return password


def digest(secret: str) -> bytes:
    """Give the SHA-256 of a credential's UTF-8, the only form in which it is stored.

    A lone surrogate, which no issued credential holds, is digested in a form that is not UTF-8,
    so that the result equals no stored digest.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def equal_in_constant_time(a: str | bytes, b: str | bytes) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(_to_bytes(a), _to_bytes(b))


def derive(key: bytes, purpose: str, *parts: int | str) -> str:
    """Derive a secret of 43 URL-safe characters from what it stands for (HMAC-SHA-256).

    Each part is told apart by its type and length, so that ("a", "bc") and ("ab", "c"), or
    1 and "1", never give the same secret.
    """
    return _base64(_mac(key, purpose, *(_encode_part(part) for part in parts)))


def sign(key: bytes, purpose: str, payload: bytes) -> str:
    """Give the payload, readable by anybody, with a MAC of 16 bytes, in URL-safe base64."""
    return _base64(_mac(key, purpose, payload)[:MAC_BYTES] + payload)


def unsign(key: bytes, purpose: str, text: str) -> bytes | None:
    """Give back what ``sign`` was given, or None where the text is not from there."""
    raw = _unbase64(text)
    if raw is None or len(raw) < MAC_BYTES:
        return None
    mac, payload = raw[:MAC_BYTES], raw[MAC_BYTES:]
    return payload if equal_in_constant_time(mac, _mac(key, purpose, payload)[:MAC_BYTES]) else None


def seal(key: bytes, purpose: str, plaintext: bytes) -> str:
    """Encrypt for oneself: AES-256-GCM under a key derived for this purpose, URL-safe base64."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return _base64(nonce + AESGCM(_sealing_key(key, purpose)).encrypt(nonce, plaintext, None))


def unseal(key: bytes, purpose: str, text: str) -> bytes | None:
    """Give back what was sealed, or None: another key, another purpose, a changed text."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    raw = _unbase64(text)
    if raw is None or len(raw) < NONCE_BYTES + 16:
        return None
    try:
        return AESGCM(_sealing_key(key, purpose)).decrypt(
            raw[:NONCE_BYTES], raw[NONCE_BYTES:], None
        )
    except InvalidTag:
        return None


def _to_bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _encode_part(part: int | str) -> bytes:
    return b"i%d" % part if isinstance(part, int) else b"s" + _to_bytes(part)


def _mac(key: bytes, purpose: str, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over the purpose and the parts, each behind its length in eight bytes."""
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in (_to_bytes(purpose), *parts):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.digest()


def _sealing_key(key: bytes, purpose: str) -> bytes:
    return _mac(key, "seal", _to_bytes(purpose))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _unbase64(text: str) -> bytes | None:
    """Read unpadded URL-safe base64, only in the one spelling that ``_base64`` writes."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # of which binascii.Error is one
        return None
    return raw if equal_in_constant_time(_base64(raw), text) else None
