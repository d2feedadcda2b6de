"""Hashes as products store them: every generation, and parts that cannot be read."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from dragoman.actions.transfer.recipes import hash_spellings
from dragoman.rules import passwords

PASSWORD = "Grüße, Wörld 7"
RAW = PASSWORD.encode()
SALT = bytes(range(200, 216))
SALT_64 = b64encode(SALT).decode()


def pbkdf2(digest: str, rounds: int, length: int, salt: bytes = SALT) -> bytes:
    return hashlib.pbkdf2_hmac(digest, RAW, salt, rounds, length)


def verifies(spelled: str, scheme: str) -> None:
    verdict = passwords.judge(spelled)
    assert (verdict.scheme, verdict.code) == (scheme, "")
    assert passwords.verify_password(PASSWORD, verdict.stored)
    assert not passwords.verify_password(f"{PASSWORD}x", verdict.stored)


def test_keycloak_before_8_keeps_the_parts_in_the_credential():
    value = b64encode(pbkdf2("sha256", 20, 64)).decode()
    credential = {
        "type": "password",
        "hashedSaltedValue": value,
        "salt": SALT_64,
        "hashIterations": 20,
        "algorithm": "pbkdf2-sha256",
    }
    verifies(hash_spellings.keycloak(credential), "pbkdf2-sha256")
    value = b64encode(pbkdf2("sha1", 20, 64)).decode()
    del credential["algorithm"]
    verifies(hash_spellings.keycloak({**credential, "hashedSaltedValue": value}), "pbkdf2-sha1")


def test_fusionauth():
    key = b64encode(pbkdf2("sha256", 24, 32)).decode()
    scheme = "salted-pbkdf2-hmac-sha256"
    verifies(hash_spellings.fusionauth(key, SALT_64, 24, scheme), "pbkdf2-sha256")
    key = b64encode(pbkdf2("sha512", 24, 64)).decode()
    scheme = "salted-pbkdf2-hmac-sha512-512"
    verifies(hash_spellings.fusionauth(key, SALT_64, 24, scheme), "pbkdf2-sha512")
    whole = bcrypt.hashpw(RAW, bcrypt.gensalt(4)).decode()
    salt, key = whole[7:29], whole[29:]
    verifies(hash_spellings.fusionauth(key, salt, 4, "bcrypt"), "bcrypt")


def test_gitea_of_all_ages():
    key = pbkdf2("sha256", 10_000, 50, b"kpglUTvzwv").hex()
    for algorithm in ("", "pbkdf2"):
        verifies(hash_spellings.gitea(key, "kpglUTvzwv", algorithm), "pbkdf2-sha256")
    key = pbkdf2("sha256", 50_000, 50).hex()
    for algorithm in ("pbkdf2$50000$50", "pbkdf2_v2"):
        verifies(hash_spellings.gitea(key, SALT.hex(), algorithm), "pbkdf2-sha256")
    key = hashlib.scrypt(RAW, salt=SALT, n=1024, r=8, p=1, dklen=50).hex()
    verifies(hash_spellings.gitea(key, SALT.hex(), "scrypt$1024$8$1$50"), "scrypt")


def test_binacle_of_both_ages():
    digest = b64encode(hashlib.sha256(RAW + SALT).digest()).decode()
    verifies(hash_spellings.binacle(digest, SALT_64), "ssha256")
    verifies(hash_spellings.binacle(f"SHA256[{digest}:{SALT_64}]"), "ssha256")


def test_discourse_of_old_versions():
    salt = SALT.hex()
    key = pbkdf2("sha256", 64_000, 32, salt.encode()).hex()
    verifies(hash_spellings.discourse(key, salt), "pbkdf2-sha256")


def test_wordpress_trims_every_password():
    whole = bcrypt.hashpw(RAW, bcrypt.gensalt(4)).decode()
    stored = passwords.judge(hash_spellings.wordpress(whole)).stored
    assert passwords.verify_password(f"  {PASSWORD}\t", stored)
    assert not passwords.verify_password(f"  {PASSWORD}\t", whole)


def test_what_names_no_product_stays_as_it_is():
    for spelling in (
        hash_spellings.wordpress,
        hash_spellings.nextcloud,
        hash_spellings.better_auth,
    ):
        for encoded in ("", "5f4dcc3b5aa765d61d8327deb882cf99", "!"):
            assert spelling(encoded) == encoded
    assert hash_spellings.meteor("") == ""
    assert hash_spellings.devise("$2a$11$x") == "$2a$11$x"


SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"
FIREBASE: dict[str, Any] = {"signer_key": SECRET, "separator": "Bw==", "rounds": 8, "mem_cost": 14}


UNREADABLE: list[Callable[[], str]] = [
    lambda: hash_spellings.keycloak({}),
    lambda: hash_spellings.keycloak({"secretData": SECRET, "credentialData": "{}"}),
    lambda: hash_spellings.keycloak({"secretData": {"value": SECRET, "salt": SECRET}}),
    lambda: hash_spellings.keycloak(
        {
            "secretData": {"value": SECRET, "salt": SECRET},
            "credentialData": {"algorithm": "scram-sha-1", "hashIterations": 1},
        }
    ),
    lambda: hash_spellings.keycloak(
        {
            "secretData": {"value": SECRET, "salt": SECRET},
            "credentialData": {"algorithm": "argon2", "hashIterations": [1, 2]},
        }
    ),
    lambda: hash_spellings.firebase(SECRET, "?", **FIREBASE),
    lambda: hash_spellings.firebase(SECRET, SECRET[:8], **FIREBASE | {"mem_cost": 99}),
    lambda: hash_spellings.firebase(SECRET[:24], SECRET[:8], **FIREBASE),
    lambda: hash_spellings.fusionauth(SECRET, SECRET, 1, "plain"),
    lambda: hash_spellings.aspnet_identity(SECRET),
    lambda: hash_spellings.aspnet_identity(f"{SECRET}?"),
    lambda: hash_spellings.aspnet_identity("AQAAAAk" + SECRET),
    lambda: hash_spellings.aspnet_identity("AQ=="),
    lambda: hash_spellings.binacle(SECRET),
    lambda: hash_spellings.binacle(SECRET, "?"),
    lambda: hash_spellings.binacle(f"PBKDF2[{SECRET[:12]}:{SECRET}]"),
    lambda: hash_spellings.gitea(SECRET, "00", "pbkdf2"),
    lambda: hash_spellings.gitea("00" * 50, SECRET, "pbkdf2"),
    lambda: hash_spellings.gitea("00" * 50, "00" * 8, "pbkdf2$x$50"),
    lambda: hash_spellings.gitea("00" * 50, "00" * 8, "dummy"),
    lambda: hash_spellings.grafana(SECRET, "salt"),
    lambda: hash_spellings.discourse("00" * 32, "00", f"$md5${SECRET}"),
]


@pytest.mark.parametrize("spell", UNREADABLE, ids=[str(n) for n in range(len(UNREADABLE))])
def test_what_cannot_be_read_is_an_error_without_the_hash(spell: Callable[[], str]):
    with pytest.raises(ValueError, match=r".") as raised:
        spell()
    assert getattr(raised.value, "code", "unreadable_hash") == "unreadable_hash"
    assert SECRET[:12] not in str(raised.value)


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "pepper": (lambda: hash_spellings.devise("$2a$11$x", peppered=True), "refused_hash"),
    "md5": (lambda: hash_spellings.fusionauth(SECRET, SECRET, 1, "salted-md5"), "refused_hash"),
    "clear": (lambda: hash_spellings.binacle("PlainText[secret]"), "clear_password"),
}


@pytest.mark.parametrize(("spell", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_its_code(spell: Callable[[], str], code: str):
    with pytest.raises(hash_spellings.HashProblem) as raised:
        spell()
    assert raised.value.code == code
    assert "secret" not in str(raised.value)
