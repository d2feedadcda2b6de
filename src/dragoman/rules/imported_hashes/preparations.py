"""What is done to a password before it is hashed, by the prefix of the stored hash."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple

from dragoman.rules.imported_hashes import stored_forms

_BLANKS = b" \t\n\r\0\x0b"  # what PHP's trim() takes off


def _nfkc(password: bytes) -> bytes:
    return unicodedata.normalize("NFKC", password.decode()).encode()


def _trimmed(password: bytes) -> bytes:
    return password.strip(_BLANKS)


def _hex_sha256(password: bytes) -> bytes:
    return hashlib.sha256(password).hexdigest().encode()


def _hex_md5(password: bytes) -> bytes:
    return hashlib.md5(password, usedforsecurity=False).hexdigest().encode()


def _trimmed_hmac_sha384(password: bytes) -> bytes:
    """Return what is hashed by bcrypt under ``$wp``: bcrypt alone would cut it at 72 bytes."""
    return b64encode(hmac.digest(b"wp-sha384", _trimmed(password), "sha384"))


class Preparation(NamedTuple):
    """A transformation of the password that a prefix of the hash stands for.

    Attributes:
        prefix: how the hash begins; it is taken off.
        prepare: returns the bytes to hash.
        scheme: the short name of the whole scheme, a template over the name of the inner one.
        inner: how the rest begins, if not anyhow.
    """

    prefix: str
    prepare: Callable[[bytes], bytes]
    scheme: str = "{0}"
    inner: tuple[str, ...] = ("",)


PREPARATIONS = (
    Preparation(stored_forms.NFKC, _nfkc),
    Preparation(stored_forms.TRIM, _trimmed),
    Preparation(stored_forms.METEOR, _hex_sha256, "meteor-{0}", ("$2", "$argon2")),
    Preparation("bcrypt_sha256$", _hex_sha256, "bcrypt-sha256", ("$2",)),
    Preparation("$wp", _trimmed_hmac_sha384, "bcrypt-sha384", ("$2",)),
    Preparation("U", _hex_md5, "{0}-md5", ("$S$",)),
)


class Prepared(NamedTuple):
    """A hash without its prefixes, and what they stand for, in order."""

    inner: str
    preparations: tuple[Preparation, ...]

    def apply(self, password: bytes) -> bytes:
        """Return the bytes that the inner hash was made of."""
        for preparation in self.preparations:
            password = preparation.prepare(password)
        return password

    def name_of(self, inner_scheme: str) -> str:
        """Return the short name of the whole scheme."""
        for preparation in reversed(self.preparations):
            inner_scheme = preparation.scheme.format(inner_scheme)
        return inner_scheme


def split(stored: str) -> Prepared:
    """Return a hash without its prefixes, and the preparations that they stand for.

    Each prefix counts once, in the order of ``PREPARATIONS``.
    """
    found: list[Preparation] = []
    for preparation in PREPARATIONS:
        rest = stored[len(preparation.prefix) :]
        if stored.startswith(preparation.prefix) and rest.startswith(preparation.inner):
            found.append(preparation)
            stored = rest
    return Prepared(stored, tuple(found))
