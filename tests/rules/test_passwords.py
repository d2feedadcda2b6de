"""Password rules, and verification of own and imported hashes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import unicodedata
from base64 import b64encode

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.rules import argon2_hashes, passwords
from dragoman.rules.crypto import generate_password
from dragoman.rules.errors import PROBLEM_CODES, Problem
from dragoman.rules.passwords import (
    PasswordRules,
    effective_rules,
    password_rule_problems,
    verify_password,
)

pytestmark = pytest.mark.usefixtures("real_hashes")

WIWEBB = PasswordRules(min_length=8, reject_common=True, reject_numeric=True, reject_similar=True)
JANE = {
    "username": "jane.smith",
    "email": "jane.smith@example.com",
    "first_name": "Jane",
    "last_name": "Smith",
}
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)

# Hashes of this password made by other programs: Django 5.2, bcryptjs and Node's crypto module,
# `openssl passwd -6`, and the test vectors published with bcrypt and phpass.
PASSWORD = "Grüße, Wörld 7"
HASH_VECTORS = {
    "django pbkdf2_sha256": "pbkdf2_sha256$1000$AN0HsKEhSPpf7aga0ZUqiI$njjhPtzqdwe3sHghayA081IfR8f"
    "nk2eHokWVmLIRnkQ=",
    "django pbkdf2_sha1": "pbkdf2_sha1$1000$ckfWZv9p93vmVgiz7JpXPD$L3dcvz3cti3M5q2Mw91quX5RlE4=",
    "django bcrypt_sha256": "bcrypt_sha256$$2b$04$KTp4R7/fR3EJlQGSa4XLRuAJci7DxJ6NooJ3VzMwYY2mMHjq"
    "xPHj2",
    "django bcrypt": "bcrypt$$2b$04$nw0tbk/NVUB/nZetuyEBaO.vD3nNcVisvncp9qpqWXLshIl3nDdke",
    "django scrypt": "scrypt$16384$NcZUOoZwKQezt4iFkOVxl1$8$5$C6cyvTp+A+G9JpHs39Y6YFwLcydHgbGEZXf8"
    "HSxEFPGOP62z5PaSpHm3q23KZ6un5PHICh7CG3HEVA77txs2PA==",
    "django argon2": "argon2$argon2id$v=19$m=256,t=1,p=2$YWJXamoxRHZmVUZqN05Id0hQOGdodg$oF8pb3S5t"
    "GwzNZ6KcGolJIwajA//T0lpH7M5iELWGa4",
    "argon2": "$argon2id$v=19$m=256,t=1,p=2$YWJXamoxRHZmVUZqN05Id0hQOGdodg$oF8pb3S5tGwzNZ6KcGolJI"
    "wajA//T0lpH7M5iELWGa4",
    "bcrypt 2a": "$2a$04$Eh9vTlhQ5OVLt/vhiPbXpO.7UxuJstcp17GK4BY4bigX2Eo5QYEY.",
    "bcrypt 2b": "$2b$04$Eh9vTlhQ5OVLt/vhiPbXpO.7UxuJstcp17GK4BY4bigX2Eo5QYEY.",
    "bcrypt 2y": "$2y$04$Eh9vTlhQ5OVLt/vhiPbXpO.7UxuJstcp17GK4BY4bigX2Eo5QYEY.",
    "meteor": "meteor$$2b$04$x8/ZK5sBUOF2XEKc3qKZW.ORkXjP5zOttNrd/RtT6R2iBpc3ujd86",
    "ldap SSHA": "{SSHA}3K6y3OCQUIvoFCBWoy887E43HalzYWx0c2FsdA==",
    "ldap SSHA512": "{SSHA512}IbR4kCvvAoFjMK0VXp8FCXxWuj8VGWloP3r36MR7TM9mS/EMtzrtHqkz1F+lYURuwL46"
    "vQejFqGo4ZTknddpJnNhbHRzYWx0",
    "phpass": "$P$6saltsaltORnpJn4DHsxrsXz56DBMq0",
    "phpass of phpBB": "$H$6saltsaltORnpJn4DHsxrsXz56DBMq0",
    "sha512-crypt": "$6$saltstring$4j2pBqmUUkEi43cW4QO0kp3yb9jVrV1Y2d3CY0SuVmnHFqEj3tqNvyK1K0vc.qEA"
    "zgujUEN7dC3QZLje2YaWo.",
    "sha512-crypt with rounds": "$6$rounds=1000$abc$Q.ow2XZs.DrGgAe5O.g39SLTg147hOfueQAVn.dPiXg8YII"
    "We/TZKAQSN1cOiagElfYUhMqXe6o0lEZh10YV91",
}
OVER_LIMIT_HASHES = {  # well-formed, but too expensive
    "argon2 memory": "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$oF8pb3S5tGwzNZ6KcGolJIwajA",
    "argon2 passes": "$argon2id$v=19$m=65536,t=999,p=1$c29tZXNhbHQ$oF8pb3S5tGwzNZ6KcGolJIwajA",
    "bcrypt": "$2b$31$Eh9vTlhQ5OVLt/vhiPbXpO.7UxuJstcp17GK4BY4bigX2Eo5QYEY.",
    "meteor": "meteor$$2b$31$Eh9vTlhQ5OVLt/vhiPbXpO.7UxuJstcp17GK4BY4bigX2Eo5QYEY.",
    "pbkdf2": "pbkdf2_sha256$99999999$salt$njjhPtzqdwe3sHghayA081IfR8fnk2eHokWVmLIRnkQ=",
    "scrypt": "scrypt$1048576$salt$8$1$" + "A" * 86 + "==",
    "phpass": "$P$Usaltsalt" + "A" * 22,
    "sha512-crypt": "$6$rounds=999999999$abc$" + "A" * 86,
}
MALFORMED = [
    "", "x", "!", "*", "$", "$$", "argon2", "argon2$", "meteor$", "bcrypt$", "$argon2id$",
    "$argon2id$v=19$m=19456,t=2,p=1$$", "$argon2id$v=19$m=0,t=0,p=0$c29tZXNhbHQ$oF8pb3S5tGwzNZ6K",
    "$argon2id$v=19$m=8,t=1,p=16$c29tZXNhbHQ$oF8pb3S5tGwzNZ6K", "$argon2id$v=19$m=٣,t=2,p=1$a$b",
    "$2b$", "$2b$04$short", "$2b$04$" + "!" * 53, "$2b$04$" + "9" * 53, "pbkdf2_sha256$0$s$x",
    "pbkdf2_sha256$1$s$" + "=" * 44, "pbkdf2_sha256$1$\ud800$" + "A" * 44, "{SSHA}", "{SSHA}====",
    "{SSHA}" + "A" * 29, "scrypt$3$s$8$1$" + "A" * 86 + "==", "$P$", "$P$B" + "!" * 30, "$6$",
    "$6$salt$", "$6$rounds=1$a$" + "A" * 86, "meteor$" + HASH_VECTORS["ldap SSHA"], "\ud800", "\0",
    HASH_VECTORS["bcrypt 2b"] + "\n", " " + HASH_VECTORS["bcrypt 2b"], "plain:" + PASSWORD, PASSWORD,
]  # fmt: skip


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


class TestPasswordRules:
    @pytest.mark.parametrize(
        "password",
        ["SecurePassword123!", "NewSecurePassword456!", "Password123!", "TemporaryPass123!",
         "ChangeMe123!"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "context",
        [JANE, {"username": "user1", "email": "user1@example.com"}, {}],
        ids=["jane", "user1", "nobody"],
    )
    def test_examples_of_the_contract_are_valid(self, password: str, context: dict[str, str]):
        assert password_rule_problems(password, WIWEBB, context=context) == []

    def test_all_problems_in_djangos_order(self):
        found = password_rule_problems(
            "1234", WIWEBB, context={"username": "12345"}, field="new_password2"
        )
        assert found == [
            Problem("new_password2", "similar", "username"),
            Problem("new_password2", "too_short", 8),
            Problem("new_password2", "common"),
            Problem("new_password2", "numeric"),
        ]

    @pytest.mark.parametrize(
        "password",
        ["password", "password123", "12345678", "qwertyuiop", "letmein", "iloveyou", "football",
         "PassWord", " password ", "123456789", "welcome1", "administrator", "dragoman"],
    )  # fmt: skip
    def test_common_passwords_are_rejected(self, password: str):
        assert password_rule_problems(password, PasswordRules(reject_common=True), context={}) == [
            Problem("password", "common")
        ]

    @pytest.mark.parametrize("password", ["", "\n", "s\nt", "password\n123456", "xkq7-vuw2-ppae"])
    def test_others_are_not_common(self, password: str):
        assert not passwords.is_common(password)

    @pytest.mark.parametrize("password", ["83649276", "٨٣٦٤٩٢٧٦"])
    def test_numeric_passwords_are_rejected(self, password: str):
        assert codes(password_rule_problems(password, WIWEBB, context={})) == ["numeric"]

    @pytest.mark.parametrize(
        ("password", "name"),
        [
            ("jane.smith", "username"),
            ("JaneSmith1", "username"),
            ("htims.enaj", "username"),
            ("example.com", "email"),
            ("jane.smith@example.com", "email"),
        ],
    )
    def test_passwords_similar_to_the_user_are_rejected(self, password: str, name: str):
        assert password_rule_problems(password, WIWEBB, context=JANE) == [
            Problem("password", "similar", name)
        ]

    def test_only_the_first_similar_field_is_reported(self):
        context = {"email": "x@y.z", "last_name": "Featherstone", "first_name": "Featherstone"}
        found = password_rule_problems("featherstone", WIWEBB, context=context)
        assert found == [Problem("password", "similar", "first_name")]

    def test_additional_context_is_compared(self):
        found = password_rule_problems("acme-rockets", WIWEBB, context={"company": "Acme Rockets"})
        assert found == [Problem("password", "similar", "company")]

    def test_long_context_is_truncated(self):
        context = {"username": "a b c d e f " * 100_000, "email": "x" * 1_000_000}
        assert password_rule_problems("correct horse battery", WIWEBB, context=context) == []

    def test_lengths(self):
        accounts = PasswordRules(min_length=1, max_length=150)
        assert password_rule_problems("s3cret", accounts, context={}) == []
        assert password_rule_problems("", accounts, context={}) == [Problem("password", "blank")]
        assert password_rule_problems(" ", accounts, context={}) == []
        assert password_rule_problems("x" * 150, accounts, context={}) == []
        assert password_rule_problems("x" * 151, accounts, context={}) == [
            Problem("password", "too_long", 150)
        ]
        assert password_rule_problems("ü" * 512, PasswordRules(), context={}) == []
        found = password_rule_problems("ü" * 513, PasswordRules(), context={})
        assert found == [Problem("password", "too_many_bytes", 1024)]

    @pytest.mark.parametrize("password", ["a\ud800bcdefgh", "a\0bcdefgh"])
    def test_surrogates_and_nul_are_unsafe(self, password: str):
        assert password_rule_problems(password, WIWEBB, context={}) == [
            Problem("password", "unsafe")
        ]

    def test_generated_passwords_are_valid_under_all_rules(self):
        for _ in range(50):
            assert (
                password_rule_problems(
                    generate_password(), effective_rules("hardened", WIWEBB), context=JANE
                )
                == []
            )

    @given(ANYTHING, st.dictionaries(ANYTHING, ANYTHING, max_size=3))
    def test_never_raises(self, password: str, context: dict[str, str]):
        assert (
            set(codes(password_rule_problems(password, WIWEBB, context=context))) <= PROBLEM_CODES
        )


class TestEffectiveRules:
    def test_documented_adds_nothing(self):
        for contract_rules in (PasswordRules(), WIWEBB, PasswordRules(min_length=10)):
            assert effective_rules("documented", contract_rules) == contract_rules

    def test_stricter_of_contract_and_policy_applies(self):
        assert effective_rules("standard", PasswordRules(max_length=150)) == PasswordRules(
            min_length=8, reject_common=True, reject_similar=True, max_length=150
        )
        assert effective_rules("standard", PasswordRules(min_length=10)).min_length == 10
        assert effective_rules("standard", WIWEBB) == WIWEBB
        assert effective_rules("hardened", WIWEBB) == PasswordRules(
            min_length=15, reject_common=True, reject_numeric=True, reject_similar=True
        )

    def test_unknown_policy_is_an_error(self):
        with pytest.raises(ValueError, match="lax"):
            effective_rules("lax", WIWEBB)


class TestHashing:
    def test_hash_and_verify(self):
        encoded = passwords.hash_password(PASSWORD)
        assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert verify_password(PASSWORD, encoded)
        assert not verify_password(PASSWORD + " ", encoded)
        assert not passwords.needs_rehash(encoded)
        assert passwords.judge(encoded).stored
        assert encoded != passwords.hash_password(PASSWORD)

    @pytest.mark.parametrize("made_of", ["NFC", "NFD", "as typed"])
    def test_every_spelling_of_a_password_verifies(
        self, made_of: str, monkeypatch: pytest.MonkeyPatch
    ):
        """Whatever the hash was made of, before passwords were normalized; after the same work."""
        typed = "Tiê\u0323ng Vie\u0302\u0323t 7"  # in neither form, as a Vietnamese keyboard types
        spelled = {form: unicodedata.normalize(form, typed) for form in ("NFC", "NFD")}
        spelled["as typed"] = typed
        old = passwords._hasher.hash(spelled[made_of])
        new = passwords.hash_password(spelled[made_of])
        works: list[int] = []
        verify = argon2_hashes.verify
        monkeypatch.setattr(
            argon2_hashes, "verify", lambda *given: (works.append(1), verify(*given))[1]
        )
        for form in ("NFC", "NFD", "as typed"):
            assert verify_password(spelled[form], old) or made_of == "as typed" != form
            assert verify_password(spelled[form], new)
            assert not verify_password(spelled[form] + "x", old)
        for encoded in (old, new, passwords.DUMMY_HASH):
            for text, work in (("Strong-Kettle-42", 1), (spelled["NFC"], 2), (typed, 3)):
                works.clear()
                verify_password(text, encoded)
                assert len(works) == work

    def test_the_rules_are_those_of_the_normalized_form(self):
        eight = PasswordRules(min_length=8, max_length=8)
        assert password_rule_problems("e\u0301" * 8, eight, context={}) == []
        found = password_rule_problems("e\u0301" * 7, eight, context={})
        assert [problem.code for problem in found] == ["too_short"]
        long = "\u0315\u0316" * 60_000
        assert password_rule_problems(long, WIWEBB, context={})[0].code == "too_many_bytes"

    def test_dummy_hash_has_the_same_cost_and_matches_nothing(self):
        encoded = passwords.hash_password(PASSWORD)
        assert passwords.DUMMY_HASH.split("$")[:4] == encoded.split("$")[:4]
        assert len(passwords.DUMMY_HASH) == len(encoded)
        assert not passwords.needs_rehash(passwords.DUMMY_HASH)
        assert not verify_password("", passwords.DUMMY_HASH)
        assert not verify_password("password", passwords.DUMMY_HASH)

    @pytest.mark.parametrize("encoded", HASH_VECTORS.values(), ids=HASH_VECTORS)
    def test_imported_hashes_verify(self, encoded: str):
        assert passwords.judge(encoded).stored
        assert verify_password(PASSWORD, encoded)
        assert not verify_password(PASSWORD[:-1], encoded)
        assert not verify_password("", encoded)
        assert not verify_password("\ud800", encoded)
        assert passwords.needs_rehash(encoded)

    def test_published_vectors_verify(self):
        crypt_blowfish = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
        assert verify_password("U*U", crypt_blowfish)
        assert verify_password("test12345", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0")

    def test_digest_is_not_accepted_as_password(self):
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        assert not verify_password(digest, HASH_VECTORS["meteor"])
        assert not verify_password(digest, HASH_VECTORS["django bcrypt_sha256"])

    def test_bcrypt_uses_72_bytes(self):
        cut = "$2b$04$kvctXJ.oZs/PFO1elxqt1.9B3dPgjB3SS1fUIBc/1rIAMilgatAR2"  # bcryptjs, 100 × x
        assert verify_password("x" * 100, cut)
        assert verify_password("x" * 72, cut)
        assert not verify_password("x" * 71, cut)
        split = bcrypt.hashpw(("ü" * 40).encode()[:72], bcrypt.gensalt(4)).decode()
        assert verify_password("ü" * 40, split)

    def test_meteor_over_argon2(self):
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        assert verify_password(PASSWORD, "meteor$" + passwords.hash_password(digest))

    @pytest.mark.parametrize("encoded", OVER_LIMIT_HASHES.values(), ids=OVER_LIMIT_HASHES)
    def test_hashes_above_the_cost_limit_are_not_recognised(self, encoded: str):
        assert not passwords.judge(encoded).stored
        assert not verify_password(PASSWORD, encoded)

    def test_most_expensive_scrypt_is_verified(self):
        salt, n = "abc", 65_536
        raw = hashlib.scrypt(b"x", salt=salt.encode(), n=n, r=16, p=1, maxmem=2**28, dklen=64)
        encoded = f"scrypt${n}${salt}$16$1${b64encode(raw).decode()}"
        assert verify_password("x", encoded)

    @pytest.mark.parametrize("encoded", MALFORMED)
    def test_malformed_hashes_do_not_verify(self, encoded: str):
        assert verify_password(PASSWORD, encoded) is False
        assert passwords.needs_rehash(encoded)

    @pytest.mark.parametrize("encoded", ["", "x", PASSWORD, "md5$a$b", "$1$abc$def", "\ud800"])
    def test_unknown_formats_are_not_recognised(self, encoded: str):
        assert not passwords.judge(encoded).stored

    def test_too_long_passwords_do_not_verify(self):
        encoded = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
        assert verify_password("x" * 1024, encoded)
        assert not verify_password("x" * 1025, encoded)

    @given(ANYTHING, ANYTHING)
    def test_never_raises(self, password: str, encoded: str):
        assert verify_password(password, encoded) is False
        assert passwords.needs_rehash(encoded)
        assert not passwords.judge(encoded).stored

    @settings(deadline=None)
    @given(st.sampled_from(sorted(set(HASH_VECTORS.values()))), st.data())
    def test_a_changed_hash_never_raises(self, encoded: str, data: st.DataObject):
        index = data.draw(st.integers(0, len(encoded) - 1))
        changed = (
            encoded[:index] + data.draw(st.sampled_from("$./=,A9!\0é\ud800")) + encoded[index + 1 :]
        )
        assert verify_password("not this one", changed) is False
        assert passwords.needs_rehash(changed)
        assert passwords.judge(changed).accepted in {True, False}

    def test_argon2_imports_no_other_hash_library(self):
        program = (
            "import sys; from dragoman.rules.passwords import DUMMY_HASH, verify_password, needs_rehash;"
            "verify_password('x', DUMMY_HASH), needs_rehash(DUMMY_HASH);"
            "sys.exit(bool({'passlib', 'bcrypt', 'dragoman.rules.imported_hashes.verification'} & set(sys.modules)))"
        )
        subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("length", range(1, 18))
@pytest.mark.parametrize("minimum", [0, 1, 6, 8, 10, 15, 20])
def test_what_is_kept_of_a_length_is_never_wrong(length: int, minimum: int) -> None:
    step = passwords.length_step("é" * length)
    assert step <= length
    assert passwords.reaches_length(step, minimum) in {length >= minimum, None}
    if minimum in passwords.LENGTH_STEPS:
        assert passwords.reaches_length(step, minimum) is (length >= minimum)
    assert passwords.reaches_length(None, minimum) is (None if minimum else True)


def test_a_length_counts_characters_of_the_normalized_password() -> None:
    assert passwords.length_step("e\u0301" * 9) == 8
