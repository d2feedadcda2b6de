"""Auth0's file for importing users: hashes of any algorithm, spelled in parts."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from dragoman.actions.transfer.recipes import auth0, hash_spellings
from dragoman.actions.transfer.recipes.hash_spellings import HashProblem
from dragoman.actions.transfer.recipes.recipe import Context, Row
from dragoman.rules import passwords

PASSWORD, SALT = "пароль-Надёжный-9", b"0123456789abcdef"
ENCODED = PASSWORD.encode()
BCRYPT = "$2b$10$M2/s3ZWjVGFK.FU1PojHmu9K4skxkq/UL/y3l12L6AjMIGB/1i3Je"

PARTS = {
    "scrypt, hexadecimal": {
        "algorithm": "scrypt",
        "hash": {
            "value": hashlib.scrypt(ENCODED, salt=SALT, n=1024, r=8, p=2, dklen=32).hex(),
            "encoding": "hex",
        },
        "salt": {"value": SALT.decode(), "encoding": "utf8"},
        "keylen": 32,
        "cost": 1024,
        "blockSize": 8,
        "parallelization": 2,
    },
    "scrypt with Auth0's defaults, base64": {
        "algorithm": "scrypt",
        "hash": {
            "value": b64encode(
                hashlib.scrypt(ENCODED, salt=SALT, n=16_384, r=8, p=1, dklen=64)
            ).decode(),
            "encoding": "base64",
        },
        "salt": {"value": SALT.hex(), "encoding": "hex"},
        "password": {"encoding": "utf8"},
        "keylen": 64,
    },
    "SHA-512 with a salt at the end": {
        "algorithm": "sha512",
        "hash": {"value": hashlib.sha512(ENCODED + SALT).hexdigest(), "encoding": "hex"},
        "salt": {"value": SALT.decode(), "position": "suffix"},
    },
    "LDAP": {
        "algorithm": "ldap",
        "hash": {
            "value": "{SSHA256}" + b64encode(hashlib.sha256(ENCODED + SALT).digest() + SALT).decode(),
            "encoding": "utf8",
        },
    },
    "PBKDF2": {
        "algorithm": "pbkdf2",
        "hash": {
            "value": "$pbkdf2-sha256$i=1000,l=32$"
            + b64encode(SALT).decode().rstrip("=")
            + "$"
            + b64encode(hashlib.pbkdf2_hmac("sha256", ENCODED, SALT, 1000)).decode().rstrip("="),
            "encoding": "utf8",
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_a_hash_in_parts_opens_the_account(name: str) -> None:
    verdict = passwords.judge(hash_spellings.auth0(PARTS[name]))
    assert verdict.accepted, verdict
    assert passwords.verify_password(PASSWORD, verdict.stored)
    assert not passwords.verify_password(PASSWORD + " ", verdict.stored)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"algorithm": "md5"}, "refused_hash"),
        ({"algorithm": "hmac"}, "refused_hash"),
        ({"algorithm": None}, "unreadable_hash"),
        ({"hash": "0123"}, "unreadable_hash"),
        ({"hash": {"value": "xyz"}}, "unreadable_hash"),
        ({"salt": {"value": "abc", "encoding": "rot13"}}, "unreadable_hash"),
        ({"salt": {"value": "abc", "position": "prefix"}}, "refused_hash"),
        ({"salt": {}}, "refused_hash"),
        ({"password": {"encoding": "utf16le"}}, "refused_hash"),
    ],
)
def test_other_parts_are_a_problem_that_does_not_quote_the_hash(
    changed: dict[str, Any], code: str
) -> None:
    parts = {**PARTS["SHA-512 with a salt at the end"], **changed}
    with pytest.raises(HashProblem) as caught:
        hash_spellings.auth0(parts)
    assert caught.value.code == code
    assert "xyz" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"password_hash": BCRYPT}, BCRYPT),
        ({"custom_password_hash": {"algorithm": "bcrypt", "hash": {"value": BCRYPT}}}, BCRYPT),
        ({"user_id": "auth0|1"}, "hash of 1"),
        ({"user_id": "auth0|unknown"}, ""),
        ({"user_id": "google-oauth2|1"}, ""),  # another id space
        ({"user_id": "1"}, ""),
    ],
)
def test_where_the_hash_is(values: dict[str, Any], found: str) -> None:
    context = Context(now=1, find_hash={"1": "hash of 1"}.get)
    assert auth0.RECIPE.password_hash is not None
    assert Row(values, context).read(auth0.RECIPE.password_hash) == found
