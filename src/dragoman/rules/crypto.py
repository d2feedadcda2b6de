"""Random secrets, digests, constant-time comparison, and signing and sealing with the server key.

Keys are at least 32 bytes. ``purpose`` separates the uses of one key (domain separation): a value
made for one purpose is not valid for another.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

# Meteor's alphabet for ids, without characters that are easily confused (0/O, 1/l/I).
READABLE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
PUBLIC_ID_LENGTH = 17
PASSWORD_LENGTH = 24
MAC_BYTES = 16  # of a signed text: 128 bits
NONCE_BYTES = 12  # of AES-GCM: NIST SP 800-38D, section 8.2

_UPPER, _LOWER, _DIGITS = READABLE_ALPHABET[8:30], READABLE_ALPHABET[30:], READABLE_ALPHABET[:8]


def _random_string(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def generate_hex(n_bytes: int = 20) -> str:
    """Return a secret of ``n_bytes`` random bytes as hex digits."""
    return secrets.token_hex(n_bytes)


def generate_urlsafe(length: int = 43) -> str:
    """Return a secret of ``length`` characters from A-Z a-z 0-9 _ - (6 bits each)."""
    return secrets.token_urlsafe(length)[:length]


def generate_number() -> int:
    """Return a random positive integer that fits into a signed 64-bit column."""
    return secrets.randbits(62) + 1


def generate_public_id() -> str:
    """Return a new public id: 17 characters of Meteor's alphabet (98 bits)."""
    return _random_string(READABLE_ALPHABET, PUBLIC_ID_LENGTH)


_PUBLIC_ID_CHARS = bytes(
    ord(READABLE_ALPHABET[byte % len(READABLE_ALPHABET)]) for byte in range(256)
)
_BIASED_BYTES = bytes(range(256 - 256 % len(READABLE_ALPHABET), 256))


def generate_public_ids(count: int) -> list[str]:
    """Return new public ids like ``generate_public_id``, cut from one read of random bytes."""
    length = count * PUBLIC_ID_LENGTH
    chars = b""
    while len(chars) < length:  # bytes that would favour some characters are left out
        raw = secrets.token_bytes((length - len(chars)) * 5 // 4 + 16)
        chars += raw.translate(_PUBLIC_ID_CHARS, _BIASED_BYTES)
    text = chars[:length].decode("ascii")
    return [text[start : start + PUBLIC_ID_LENGTH] for start in range(0, length, PUBLIC_ID_LENGTH)]


def generate_password() -> str:
    """Return a random password of 24 readable characters (138 bits): upper, lower and digits."""
    while True:
        password = _random_string(READABLE_ALPHABET, PASSWORD_LENGTH)
        if all(set(password) & set(kind) for kind in (_UPPER, _LOWER, _DIGITS)):
            return password


def digest(secret: str) -> bytes:
    """Return the SHA-256 digest of a secret; only this digest is stored.

    A lone surrogate is encoded as invalid UTF-8. Issued secrets contain none, so the result equals
    no stored digest.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def equal_in_constant_time(a: str | bytes, b: str | bytes) -> bool:
    """Return whether two secrets are equal; the time taken does not depend on where they differ."""
    return hmac.compare_digest(_to_bytes(a), _to_bytes(b))


def derive(key: bytes, purpose: str, *parts: int | str) -> str:
    """Return a secret of 43 URL-safe characters, derived from ``parts`` with HMAC-SHA-256.

    The type and length of each part are included, so that ("a", "bc") and ("ab", "c"), or 1 and
    "1", result in different secrets.
    """
    return _base64(_mac(key, purpose, *(_encode_part(part) for part in parts)))


def sign(key: bytes, purpose: str, payload: bytes) -> str:
    """Return payload and MAC (16 bytes) in URL-safe base64; the payload is not encrypted."""
    return _base64(_mac(key, purpose, payload)[:MAC_BYTES] + payload)


def unsign(key: bytes, purpose: str, text: str) -> bytes | None:
    """Return the payload of a signed text; None if the signature is not valid."""
    raw = _unbase64(text)
    if raw is None or len(raw) < MAC_BYTES:
        return None
    mac, payload = raw[:MAC_BYTES], raw[MAC_BYTES:]
    return payload if equal_in_constant_time(mac, _mac(key, purpose, payload)[:MAC_BYTES]) else None


def seal(key: bytes, purpose: str, plaintext: bytes) -> str:
    """Encrypt with AES-256-GCM under a key derived for this purpose; return URL-safe base64."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return _base64(nonce + AESGCM(_sealing_key(key, purpose)).encrypt(nonce, plaintext, None))


def unseal(key: bytes, purpose: str, text: str) -> bytes | None:
    """Decrypt a sealed text; return None if key or purpose differ or the text was changed."""
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
    """Return the HMAC-SHA-256 of purpose and parts, each preceded by its length (8 bytes)."""
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
    """Decode unpadded URL-safe base64; return None unless it is the exact output of ``_base64``."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # the base class of binascii.Error
        return None
    return raw if equal_in_constant_time(_base64(raw), text) else None
