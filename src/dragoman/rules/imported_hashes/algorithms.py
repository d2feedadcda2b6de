"""Comparison of a password with a hash, for each algorithm.

Each function takes a match of its format's pattern (``formats``) and the password's bytes, and may
raise ValueError for base64, a salt or parameters that cannot be.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode

from dragoman.rules import argon2_hashes
from dragoman.rules.crypto import equal_in_constant_time
from dragoman.rules.imported_hashes import stored_forms

MAX_BCRYPT_BYTES = 72  # bcrypt ignores further bytes; the library raises instead of cutting
MAX_SCRYPT_MEMORY_BYTES = 129 * 1024 * 1024
"""Memory for N = 65,536 and r = 16; Django's default parameters take 16 MiB."""
MAX_SHA512_CRYPT_WORK = 999_999 * (256 + 340)
"""Maximum rounds times (256 + bytes of the password), as each round reads the password: 1 s."""
SHA512_CRYPT_ROUNDS = 5_000  # where the hash names none
SSHA_ALGORITHMS = {"SSHA": "sha1", "SSHA256": "sha256", "SSHA384": "sha384", "SSHA512": "sha512"}
_CRYPT64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def argon2(encoded: re.Match[str], password: bytes) -> bool:
    """Compare an argon2 hash in the PHC string format."""
    return argon2_hashes.verify(encoded[0], password)


def bcrypt(encoded: re.Match[str], password: bytes) -> bool:
    """Compare a bcrypt hash with the first 72 bytes of the password."""
    import bcrypt

    return bcrypt.checkpw(password[:MAX_BCRYPT_BYTES], encoded[0].encode())


def _pbkdf2(digest: str, password: bytes, salt: bytes, rounds: int, key: bytes) -> bool:
    """Compare the first block, and the others only if it matches.

    PBKDF2's blocks are computed independently (RFC 8018, section 5.2), and the first has the
    digest's length: a wrong password costs one block of a longer key.
    """
    first_length = min(len(key), hashlib.new(digest).digest_size)
    first = hashlib.pbkdf2_hmac(digest, password, salt, rounds, first_length)
    if not equal_in_constant_time(first, key[:first_length]):
        return False
    if len(key) == first_length:
        return True
    return equal_in_constant_time(
        hashlib.pbkdf2_hmac(digest, password, salt, rounds, len(key)), key
    )


def phc_pbkdf2(encoded: re.Match[str], password: bytes) -> bool:
    """Compare PBKDF2 with a binary salt and a key of any length."""
    salt, key = stored_forms.decode(encoded["salt"]), stored_forms.decode(encoded["key"])
    if len(key) != int(encoded["length"]):
        return False
    return _pbkdf2(encoded["digest"], password, salt, int(encoded["rounds"]), key)


def django_pbkdf2(encoded: re.Match[str], password: bytes) -> bool:
    """Compare Django's PBKDF2: the salt is text, the key as long as the digest."""
    key = b64decode(encoded["sum"], validate=True)
    if len(key) != hashlib.new(encoded["digest"]).digest_size:
        return False
    salt = encoded["salt"].encode()
    return _pbkdf2(encoded["digest"], password, salt, int(encoded["rounds"]), key)


def _scrypt(encoded: re.Match[str], n: int, password: bytes, salt: bytes, key_bytes: int) -> bytes:
    return hashlib.scrypt(
        password,
        salt=salt,
        n=n,
        r=int(encoded["r"]),
        p=int(encoded["p"]),
        maxmem=MAX_SCRYPT_MEMORY_BYTES,
        dklen=key_bytes,
    )


def phc_scrypt(encoded: re.Match[str], password: bytes) -> bool:
    """Compare scrypt with a binary salt and a key of any length."""
    salt, key = stored_forms.decode(encoded["salt"]), stored_forms.decode(encoded["key"])
    computed = _scrypt(encoded, 1 << int(encoded["ln"]), password, salt, len(key))
    return equal_in_constant_time(computed, key)


def django_scrypt(encoded: re.Match[str], password: bytes) -> bool:
    """Compare Django's scrypt: the salt is text, the key has 64 bytes."""
    salt, key = encoded["salt"].encode(), b64decode(encoded["sum"], validate=True)
    computed = _scrypt(encoded, int(encoded["n"]), password, salt, len(key))
    return equal_in_constant_time(computed, key)


def firescrypt(encoded: re.Match[str], password: bytes) -> bool:
    """Compare the signer key, encrypted by AES-256-CTR under a key that scrypt derives."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    salt, key, separator, signer_key = (
        stored_forms.decode(encoded[part]) for part in ("salt", "key", "separator", "signer")
    )
    derived = _scrypt(encoded, 1 << int(encoded["ln"]), password, salt + separator, 32)
    encryptor = Cipher(AES(derived), CTR(bytes(16))).encryptor()
    return equal_in_constant_time(encryptor.update(signer_key) + encryptor.finalize(), key)


def split_ssha(encoded: re.Match[str]) -> tuple[bytes, bytes]:
    """Return the digest and the salt of a ``{SSHA…}`` hash."""
    raw = b64decode(encoded["sum"], validate=True)
    name = SSHA_ALGORITHMS[encoded["name"]]
    length = hashlib.new(name, usedforsecurity=False).digest_size
    return raw[:length], raw[length:]


def _salted_digest(name: str, password: bytes, salt: bytes) -> bytes:
    return hashlib.new(SSHA_ALGORITHMS[name], password + salt, usedforsecurity=False).digest()


def ssha(encoded: re.Match[str], password: bytes) -> bool:
    """Compare one round of SHA over password and salt."""
    expected, salt = split_ssha(encoded)
    return equal_in_constant_time(_salted_digest(encoded["name"], password, salt), expected)


def wrapped_ssha(encoded: re.Match[str], password: bytes) -> bool:
    """Compare argon2 over the hexadecimal digest of password and salt."""
    salt = stored_forms.decode(encoded["salt"])
    digest = _salted_digest(encoded["name"].upper(), password, salt)
    return argon2_hashes.verify(encoded["argon2"], digest.hex().encode())


def phpass(encoded: re.Match[str], password: bytes) -> bool:
    """Compare phpass's portable hash (MD5)."""
    from passlib.handlers.phpass import phpass

    return phpass.verify(password, encoded[0])


def sha512_phpass(encoded: re.Match[str], password: bytes) -> bool:
    """Compare phpass's algorithm over SHA-512, cut to 43 characters (258 bits)."""
    digest = hashlib.sha512(encoded["salt"].encode() + password).digest()
    for _ in range(1 << _CRYPT64.index(encoded["log2"])):
        digest = hashlib.sha512(digest + password).digest()
    computed = "".join(
        _CRYPT64[int.from_bytes(digest[start : start + 3], "little") >> 6 * index & 63]
        for start in range(0, 33, 3)
        for index in range(4)
    )
    return equal_in_constant_time(computed[:43].encode(), encoded["sum"].encode())


def sha512_crypt(encoded: re.Match[str], password: bytes) -> bool:
    """Compare SHA-512 crypt; False for a long password where there are many rounds, too."""
    from passlib.handlers.sha2_crypt import sha512_crypt

    rounds = int(encoded["rounds"] or SHA512_CRYPT_ROUNDS)
    if rounds * (256 + len(password)) > MAX_SHA512_CRYPT_WORK:
        return False
    return sha512_crypt.verify(password, encoded[0])
