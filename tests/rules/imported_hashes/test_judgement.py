"""What an import decides about a hash: accepted, no password, or refused with a code."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.rules import passwords
from dragoman.rules.imported_hashes import judgement, spellings, stored_forms
from dragoman.rules.imported_hashes.verification import verify

SALT, KEY = bytes(range(16)), bytes(range(64))
ARGON2 = "$argon2id$v=19$m={},t={},p={}$YWJXamoxRHZmVUZqN05Id0hQOGdodg$" + "A" * 43
DJANGO_SUM = {n: b64encode(bytes(size)).decode() for n, size in (("sha256", 32), ("sha512", 64))}
CODES = {"", "refused_hash", "unreadable_hash", "clear_password"}


@pytest.mark.parametrize(
    "encoded", ["", "  ", "!", "!!", "!$6$x$y", "!qJ0LhE", "*", "*LK*", "*NP*", "x", "NULL", "\\N"]
)
def test_an_unusable_hash_is_no_password(encoded: str):
    verdict = passwords.judge(encoded)
    assert verdict.no_password
    assert verdict.accepted
    assert (verdict.scheme, verdict.stored) == ("none", "")


REFUSED = [
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
    "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
    hashlib.sha512(b"password").hexdigest(),
    "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "unsalted_md5$$5f4dcc3b5aa765d61d8327deb882cf99",
    "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
    "$md5$X03MO1qnZdYdgyfeuILPmQ==",
    "$sha1$pf=e1NBTFR9e1BBU1NXT1JEfQ==$c2FsdA==$5baa61e4c9b9",
    "$sha256$pf=e1NBTFR9e1BBU1NXT1JEfQ==$c2FsdA==$XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",
    "$hmac-sha256$a2V5$AAAA",
    "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
    "{SMD5}X03MO1qnZdYdgyfeuILPmXNhbHQ=",
    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "{sha256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",
    "{NT}8846F7EAEE8FB117AD06BDD830B7586C",
    "$1$2ACLbP0P$k8W0EsBTS/ZtzVDEBPBjy/",
    "{CRYPT}$1$2ACLbP0P$k8W0EsBTS/ZtzVDEBPBjy/",
    "{crypt}rqXexS6ZhobKA",
    "$apr1$2ACLbP0P$k8W0EsBTS/ZtzVDEBPBjy/",
    "$5$WJ7FMdRQ0hYebrC4$LEYvt3ULGKxjYzafeSrTWUWdRPihkltS78sqrFrlQA1",
    "$sha256-crypt$WJ7FMdRQ0hYebrC4$LEYvt3ULGKxjYzafeSrTWUWdRPihkltS78sqrFrlQA1",
    "$y$j9T$u9iufhvq6DQwLhZrJDaKK0$ToOlvKnCEQZtICsH9gmUSyKTC1jFUJ0wsNHeBR.Da69",
    "{CRYPT}$y$j9T$u9iufhvq6DQwLhZrJDaKK0$ToOlvKnCEQZtICsH9gmUSyKTC1jFUJ0wsNHeBR.Da69",
    "$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
    "U$P$ByhXP3rVip1nDA.pzXaeL8xPEjK/8W.",
    "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
    "SCRAM-SHA-256$4096:c2FsdA==$AAAA:BBBB",
    '{"identity": "a", "salt": "b", "verifier": "c"}',
]


@pytest.mark.parametrize("encoded", REFUSED)
def test_weak_and_unsupported_schemes_are_refused_by_name(encoded: str):
    verdict = passwords.judge(encoded)
    assert (verdict.code, verdict.stored, verdict.scheme) == ("refused_hash", "", "")
    assert verdict.detail
    assert not verdict.accepted
    assert not passwords.verify_password("password", encoded)


UNREADABLE = [
    "$2b$10$nonsense",
    "$2b$99$F8fEIchjHOGR55e9me2f1uU6815m7ebp5tSkecTRaA6BFAArTiAVC",
    "$argon2id$v=19$m=19456,t=2,p=1$broken",
    "meteor$nonsense",
    "meteor$$pbkdf2-sha256$i=1,l=16$AA$AAAAAAAAAAAAAAAAAAAAAA",
    "$pbkdf2-sha256$i=1000,l=31$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
    "$pbkdf2-sha256$i=1000,l=15$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 20,
    "$pbkdf2-md5$i=1000,l=16$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 22,
    "$scrypt$ln=1000,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
    "$firescrypt$ln=14,r=8,p=1$AAAA$" + "A" * 86 + "$Bw$" + "A" * 43,
    "{SSHA}AAAA",
    "wrapped_ssha256$AAAA$argon2id$v=19$m=1$x",
    "pbkdf2:sha256:1000$salt$00",
    "U$S$nonsense",
    "3c4b8e4813eb8ecbbda7e53a6f2c6e9f:" + "9" * 128,
    "A" * 68 + "==",
    "$2b$" + "A" * 4_000,
]


@pytest.mark.parametrize("encoded", UNREADABLE)
def test_what_looks_like_a_hash_and_is_none_cannot_be_read(encoded: str):
    verdict = passwords.judge(encoded)
    assert (verdict.code, verdict.stored) == ("unreadable_hash", "")
    assert encoded not in verdict.detail


@pytest.mark.parametrize(
    "encoded",
    ["secret", "S3cret\\back/slash|pipe", "correct horse battery staple", "{CLEARTEXT}secret",
     "{noop}secret", "пароль-Надёжный-9", "ｃｌｅａｒ", "a$b", "\ud800"],
)  # fmt: skip
def test_a_password_in_clear_is_refused(encoded: str):
    verdict = passwords.judge(encoded)
    assert (verdict.code, verdict.stored) == ("clear_password", "")
    assert encoded not in verdict.detail


def pbkdf2(digest: str, rounds: int, key_bytes: int) -> str:
    return stored_forms.pbkdf2(digest, rounds, SALT, KEY[:key_bytes])


def scrypt(n: int, r: int, p: int) -> str:
    return stored_forms.scrypt(n, r, p, SALT, KEY)


@pytest.mark.parametrize(
    ("highest", "too_high"),
    [
        (pbkdf2("sha1", 5_300_000, 20), pbkdf2("sha1", 5_300_001, 20)),
        (pbkdf2("sha1", 1_325_000, 64), pbkdf2("sha1", 1_325_001, 64)),
        (pbkdf2("sha256", 2_500_000, 32), pbkdf2("sha256", 2_500_001, 32)),
        (pbkdf2("sha256", 1_250_000, 50), pbkdf2("sha256", 1_250_001, 50)),
        (pbkdf2("sha512", 1_500_000, 64), pbkdf2("sha512", 1_500_001, 64)),
        (scrypt(2**16, 8, 4), scrypt(2**16, 8, 5)),
        (scrypt(2**17, 8, 1), scrypt(2**18, 8, 1)),  # 128 MiB of memory
        (scrypt(2**17, 8, 2), scrypt(2**17, 8, 3)),
        (ARGON2.format(262_144, 3, 1), ARGON2.format(262_144, 4, 1)),
        (ARGON2.format(78_643, 10, 4), ARGON2.format(78_644, 10, 4)),
        (ARGON2.format(65_536, 3, 16), ARGON2.format(65_536, 3, 17)),
        (ARGON2.format(262_144, 1, 1), ARGON2.format(262_145, 1, 1)),
        ("$2b$14$" + "A" * 53, "$2b$15$" + "A" * 53),
        (
            f"pbkdf2_sha256$2500000$salt${DJANGO_SUM['sha256']}",
            f"pbkdf2_sha256$2500001$salt${DJANGO_SUM['sha256']}",
        ),
        (
            f"scrypt$65536$salt$8$4${DJANGO_SUM['sha512']}",
            f"scrypt$65536$salt$16$4${DJANGO_SUM['sha512']}",
        ),
        (
            "wrapped_ssha256$AAAA" + ARGON2.format(262_144, 3, 1),
            "wrapped_ssha256$AAAA" + ARGON2.format(262_144, 4, 1),
        ),
    ],
)
def test_the_product_of_the_costs_is_limited(highest: str, too_high: str):
    assert passwords.judge(highest).code == ""
    verdict = passwords.judge(too_high)
    assert (verdict.code, verdict.stored) == ("refused_hash", "")
    assert "more than a second" in verdict.detail


@pytest.mark.parametrize(
    "too_high", [pbkdf2("sha256", 900_000_000, 32), scrypt(2**20, 8, 1), scrypt(2**10, 8, 9_999)]
)
def test_a_hash_above_the_limit_is_not_computed(too_high: str):
    """These would take minutes or gigabytes, wherever they came from."""
    assert verify(too_high, b"password") is False


def test_what_earlier_versions_verified_goes_on_to_verify():
    """Above the limit of an import, and within those of the versions before."""
    key = hashlib.scrypt(b"x", salt=b"salt", n=1024, r=16, p=16, maxmem=2**28, dklen=64)
    assert verify(f"scrypt$1024$salt$16$16${b64encode(key).decode()}", b"x")
    costly = ARGON2.format(65_536, 13, 1).replace("t=13", "t=10").replace("65536", "78644")
    assert passwords.judge(costly).code == "refused_hash"
    assert verify(costly, b"x") is False  # computed: another password
    from dragoman.rules import argon2_hashes

    assert argon2_hashes.is_supported(costly)


def test_many_rounds_and_a_long_password_together_are_not_computed():
    encoded = (
        "$6$rounds=656000$m7vWnWAE9y3u79yJ$xgqdkcpt7s3o94NPtmsTG8ntiSkl1hMa/3xEgucWUhDNs6puZe8utJ6"
        "Lvuex8WK82jjJyqUXi/53AUpzEeOJG0"
    )
    assert passwords.judge(encoded).scheme == "sha512-crypt"
    assert verify(encoded, "пароль-Надёжный-9".encode())
    assert not verify(encoded, b"x" * 1024)


def test_a_key_longer_than_the_digest_counts_whole():
    """The first block is compared first, but does not suffice."""
    key = hashlib.pbkdf2_hmac("sha256", b"x", SALT, 10, 50)
    assert verify(stored_forms.pbkdf2("sha256", 10, SALT, key), b"x")
    assert not verify(stored_forms.pbkdf2("sha256", 10, SALT, key), b"y")
    changed = key[:-1] + bytes([key[-1] ^ 1])
    assert not verify(stored_forms.pbkdf2("sha256", 10, SALT, changed), b"x")


def test_flags_prepare_the_password():
    salt = b"0123456789abcdef"
    key = hashlib.scrypt(b"Fullwidth-9", salt=salt, n=1024, r=8, p=1, dklen=64)
    encoded = stored_forms.scrypt(1024, 8, 1, salt, key)
    wide = "Ｆｕｌｌｗｉｄｔｈ-９"
    assert not passwords.verify_password(wide, encoded)
    assert passwords.verify_password(wide, f"nfkc${encoded}")
    assert not passwords.verify_password(" Fullwidth-9\n", encoded)
    assert passwords.verify_password(" Fullwidth-9\n", f"trim${encoded}")
    assert passwords.verify_password("\t Ｆullwidth-9 ", f"nfkc$trim${encoded}")


def test_a_password_over_md5_of_old_sites():
    """What an upgrade made of MD5: SHA-512 in many rounds over its hexadecimal digest."""
    from dragoman.rules.imported_hashes import formats

    hash_format = next(each for each in formats.HASH_FORMATS if each.scheme == "sha512-phpass")
    digest = hashlib.md5(b"password", usedforsecurity=False).hexdigest()
    # made with the independent implementation below
    encoded = phpass_sha512(digest.encode(), "5", "saltsalt")
    assert hash_format.pattern.fullmatch(encoded)
    assert passwords.judge(f"U{encoded}").scheme == "sha512-phpass-md5"
    assert passwords.verify_password("password", f"U{encoded}")
    assert not passwords.verify_password("passwort", f"U{encoded}")


def phpass_sha512(password: bytes, log2: str, salt: str) -> str:
    """phpass's algorithm as its PHP source writes it."""
    itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    hashed = hashlib.sha512(salt.encode() + password).digest()
    for _ in range(2 ** itoa64.index(log2)):
        hashed = hashlib.sha512(hashed + password).digest()
    output, i = "", 0
    while i < 64:
        value = hashed[i]
        i += 1
        output += itoa64[value & 0x3F]
        if i < 64:
            value |= hashed[i] << 8
        output += itoa64[(value >> 6) & 0x3F]
        i += 1
        if i >= 65:
            break
        if i < 64:
            value |= hashed[i] << 16
        output += itoa64[(value >> 12) & 0x3F]
        i += 1
        if i >= 65:
            break
        output += itoa64[(value >> 18) & 0x3F]
    return f"$S${log2}{salt}{output}"[:55]


class TestWrapping:
    WEAK = "{SSHA256}" + b64encode(hashlib.sha256(b"pass-word-7salt").digest() + b"salt").decode()

    def test_a_weak_hash_is_wrapped(self):
        wrapped = passwords.wrap(self.WEAK)
        assert wrapped.startswith("wrapped_ssha256$c2FsdA$argon2id$v=19$")
        assert wrapped != passwords.wrap(self.WEAK)
        assert passwords.judge(wrapped).scheme == "wrapped-ssha256"
        assert passwords.verify_password("pass-word-7", wrapped)
        assert not passwords.verify_password("pass-word-8", wrapped)
        assert passwords.needs_rehash(wrapped)
        digest = hashlib.sha256(b"pass-word-7salt").hexdigest()
        assert not passwords.verify_password(digest, wrapped)

    @pytest.mark.parametrize(
        "encoded", ["", "nonsense", "{SSHA256}AAAA", pbkdf2("sha256", 1, 32), "{MD5}AAAA"]
    )
    def test_other_hashes_stay_as_they_are(self, encoded: str):
        assert passwords.wrap(encoded) == encoded


ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
PREFIXES = st.sampled_from(
    ["$pbkdf2-sha256$", "$scrypt$ln=", "$firescrypt$ln=14,r=8,p=1$", "{SSHA}", "{CRYPT}", "nfkc$",
     "trim$", "U$S$", "$wp$2y$", "pbkdf2:sha256:", "scrypt:16384:8:1$", "meteor$", "srp", "*"],
)  # fmt: skip


@given(st.one_of(st.just(""), PREFIXES), ANY_TEXT)
def test_every_text_gets_a_verdict_without_the_text(prefix: str, rest: str):
    encoded = prefix + rest
    verdict = judgement.judge(encoded)
    assert verdict.code in CODES
    if len(encoded.strip()) > 20:
        assert encoded.strip() not in verdict.detail
    assert bool(verdict.stored) == (verdict.accepted and not verdict.no_password)


@given(
    st.sampled_from(["sha1", "sha256", "sha512"]),
    st.integers(1, 10_000),
    st.binary(min_size=1, max_size=64),
    st.binary(min_size=16, max_size=64),
)
def test_stored_forms_are_read_back(digest: str, rounds: int, salt: bytes, key: bytes):
    stored = stored_forms.pbkdf2(digest, rounds, salt, key)
    assert spellings.to_stored(stored) == stored
    assert judgement.judge(stored).scheme == f"pbkdf2-{digest}"
    assert stored_forms.decode(stored_forms.encode(salt)) == salt
