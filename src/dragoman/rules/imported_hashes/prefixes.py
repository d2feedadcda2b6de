"""The scheme of a stored hash by its first characters, for counting users by scheme."""

from __future__ import annotations

from dragoman.rules.imported_hashes import stored_forms

FLAGS = (stored_forms.NFKC, stored_forms.TRIM)
"""Prefixes that do not change the scheme; each has the same length."""
WEAK_SCHEMES = ("ssha", "ssha256", "ssha384", "ssha512")
"""Schemes of a single round."""
OTHER = "other"
"""What no prefix is known of."""
SCHEMES_BY_PREFIX = {
    "$argon2id$": "argon2id",
    "$argon2i$": "argon2i",
    "$argon2d$": "argon2d",
    "$2": "bcrypt",
    "$pbkdf2-sha512$": "pbkdf2-sha512",
    "$pbkdf2-sha256$": "pbkdf2-sha256",
    "$pbkdf2-sha1$": "pbkdf2-sha1",
    "pbkdf2_sha256$": "pbkdf2-sha256",
    "pbkdf2_sha512$": "pbkdf2-sha512",
    "pbkdf2_sha1$": "pbkdf2-sha1",
    "$scrypt$": "scrypt",
    "scrypt$": "scrypt",
    "$firescrypt$": "firescrypt",
    "meteor$$2": "meteor-bcrypt",
    "meteor$$argon2id$": "meteor-argon2id",
    "meteor$$argon2i$": "meteor-argon2i",
    "meteor$$argon2d$": "meteor-argon2d",
    "bcrypt_sha256$": "bcrypt-sha256",
    "bcrypt$$2": "bcrypt",
    "argon2$argon2id$": "argon2id",
    "argon2$argon2i$": "argon2i",
    "argon2$argon2d$": "argon2d",
    "$wp$": "bcrypt-sha384",
    "$P$": "phpass",
    "$H$": "phpass",
    "$S$": "sha512-phpass",
    "U$S$": "sha512-phpass-md5",
    "$6$": "sha512-crypt",
    "{SSHA}": "ssha",
    "{SSHA256}": "ssha256",
    "{SSHA384}": "ssha384",
    "{SSHA512}": "ssha512",
    "wrapped_ssha$": "wrapped-ssha",
    "wrapped_ssha256$": "wrapped-ssha256",
    "wrapped_ssha384$": "wrapped-ssha384",
    "wrapped_ssha512$": "wrapped-ssha512",
}
"""The short names of ``HashVerdict.scheme``, also for spellings that earlier versions stored."""
