"""The stored spelling of imported hashes, after the PHC string format.

Salts and keys are standard base64 without padding:

- ``$pbkdf2-sha256$i=ROUNDS,l=KEY-LENGTH$SALT$KEY``, also ``sha1`` and ``sha512``
- ``$scrypt$ln=LOG2-OF-N,r=…,p=…$SALT$KEY``
- ``$firescrypt$ln=LOG2-OF-N,r=…,p=…$SALT$HASH$SEPARATOR$SIGNER-KEY``
- ``$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$KEY``
- ``{SSHA256}`` and base64, with padding, of SHA-256(password ‖ salt) ‖ salt
- ``nfkc$`` or ``trim$`` before a hash: of the password in NFKC, or without its outer blanks
- ``meteor$`` before a hash: of the hexadecimal SHA-256 of the password
- ``wrapped_ssha256$SALT$argon2id…``: argon2id over the hexadecimal SHA-256(password ‖ salt)
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

TEXT = r"[A-Za-z0-9+/]"
"""The alphabet of salts and keys, as a pattern."""
NFKC, TRIM, METEOR = "nfkc$", "trim$", "meteor$"
MAX_SALT_BYTES, MIN_KEY_BYTES, MAX_KEY_BYTES = 255, 16, 128
_STANDARD = re.compile(r"[A-Za-z0-9+/]*")
_NOT_STANDARD = str.maketrans("-_.", "+/+")


def encode(raw: bytes) -> str:
    """Return bytes as standard base64 without padding."""
    return b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    """Return the bytes of base64 in any usual alphabet, with or without padding.

    ``-`` and ``_`` are those of RFC 4648, section 5; ``.`` stands for ``+`` in passlib's variant.
    Raises ValueError, without the text, for anything else.
    """
    bare = text.rstrip("=").translate(_NOT_STANDARD)
    if not _STANDARD.fullmatch(bare) or len(bare) % 4 == 1:
        raise ValueError("not base64")
    return b64decode(bare + "=" * (-len(bare) % 4))


def check_lengths(salt: bytes, key: bytes) -> None:
    """Raise ValueError unless salt and key have a length that occurs."""
    if not 1 <= len(salt) <= MAX_SALT_BYTES or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError("the salt or the key has an unusual length")


def pbkdf2(digest: str, rounds: int, salt: bytes, key: bytes) -> str:
    """Return a PBKDF2 hash; raises ValueError for an unknown digest or an unusual length.

    Args:
        digest: ``sha1``, ``sha256`` or ``sha512``.
        rounds: the number of iterations.
        salt: the bytes of the salt.
        key: the derived key, of any length.
    """
    if digest not in {"sha1", "sha256", "sha512"} or rounds < 1:
        raise ValueError("unknown parameters of PBKDF2")
    check_lengths(salt, key)
    return f"$pbkdf2-{digest}$i={rounds},l={len(key)}${encode(salt)}${encode(key)}"


def log2_of(n: int) -> int:
    """Return the logarithm of scrypt's N; raises ValueError if N is not a power of two above 1."""
    if n < 2 or n & (n - 1):
        raise ValueError("scrypt's N is not a power of two")
    return n.bit_length() - 1


def scrypt(n: int, r: int, p: int, salt: bytes, key: bytes) -> str:
    """Return a scrypt hash; raises ValueError for an N or a length that cannot be.

    Args:
        n: the cost, a power of two.
        r: the block size.
        p: the parallelism.
        salt: the bytes of the salt.
        key: the derived key, of any length.
    """
    check_lengths(salt, key)
    return f"$scrypt$ln={log2_of(n)},r={r},p={p}${encode(salt)}${encode(key)}"


def firescrypt(
    n: int, r: int, p: int, salt: bytes, key: bytes, separator: bytes, signer_key: bytes
) -> str:
    """Return a hash of scrypt and AES-256-CTR; raises ValueError for parameters that cannot be.

    Args:
        n: scrypt's cost, a power of two.
        r: scrypt's block size.
        p: scrypt's parallelism.
        salt: the salt of the user.
        key: the hash of the user: the signer key, encrypted.
        separator: the salt separator of the project.
        signer_key: the signer key of the project.
    """
    check_lengths(salt, key)
    if len(key) != len(signer_key):
        raise ValueError("the hash is not as long as the signer key")
    parts = "$".join(encode(part) for part in (salt, key, separator, signer_key))
    return f"$firescrypt$ln={log2_of(n)},r={r},p={p}${parts}"


def argon2(kind: str, costs: tuple[int, int, int], salt: bytes, key: bytes, *, version: int) -> str:
    """Return an argon2 hash.

    Args:
        kind: ``id``, ``i`` or ``d``.
        costs: memory in KiB, passes, lanes.
        salt: the bytes of the salt.
        key: the bytes of the hash.
        version: 16 or 19.

    Raises:
        ValueError: an unknown kind or version, or an unusual length.
    """
    check_lengths(salt, key)
    if kind not in {"id", "i", "d"} or version not in {16, 19}:
        raise ValueError("unknown parameters of argon2")
    memory, passes, lanes = costs
    parameters = f"v={version}$m={memory},t={passes},p={lanes}"
    return f"$argon2{kind}${parameters}${encode(salt)}${encode(key)}"


def salted_sha256(digest: bytes, salt: bytes) -> str:
    """Return a hash that is SHA-256 of password and salt; raises ValueError for other lengths."""
    if len(digest) != 32 or not 1 <= len(salt) <= 64:
        raise ValueError("the salt or the digest has an unusual length")
    return "{SSHA256}" + b64encode(digest + salt).decode()
