"""The validation of usernames, e-mail addresses, URLs and free text."""

from __future__ import annotations

import string
import subprocess
import sys

import email_validator
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.rules import fields
from dragoman.rules.errors import PROBLEM_CODES, Problem
from dragoman.rules.fields import UsernameCharset, trim
from dragoman.rules.model import NewUser, TenantChanges, UserChanges

# Any str, including lone surrogates, and texts of characters that are likely to cause problems.
ANYTHING = st.text(alphabet=st.characters(exclude_categories=())) | st.text(
    alphabet="ab@.:/[]-_+ \n\t\0\u200b\u200d\u202e\u0345\u0301\ufe0f\ud800αЯ太🙂", max_size=40
)


def codes(problems: list[Problem]) -> list[str]:
    return [problem.code for problem in problems]


def username(text: str, charset: UsernameCharset = UsernameCharset.STRICT) -> list[str]:
    return codes(fields.username_problems(text, charset=charset))


class TestTrim:
    def test_trim_removes_unicode_white_space(self):
        assert trim("\u3000\u00a0 a b\n\t") == "a b"


class TestUsername:
    @pytest.mark.parametrize(
        "name",
        ["bob", "john.doe", "a+b@example.com", "_x-1", "müller", "太郎", "Иван", "محمد", "नमस्ते",
         "e\u0301mile", "田中さん", "김철수", "tanaka太郎", "1", " padded "],
    )  # fmt: skip
    def test_valid_in_strict_charset(self, name: str):
        assert username(name) == []

    @pytest.mark.parametrize("name", ["a b", "a!", "a/b", "o'brien", "a#", "🙂", "ﷺ", "½x", "a٪"])
    def test_invalid_in_strict_charset(self, name: str):
        assert username(name) == ["username"]

    @pytest.mark.parametrize("name", ["a b", "a!", "o'brien", "🙂 bob", "bob@example.com", "½x"])
    def test_valid_in_permissive_charset(self, name: str):
        assert username(name, UsernameCharset.PERMISSIVE) == []

    @pytest.mark.parametrize("charset", UsernameCharset)
    @pytest.mark.parametrize(
        "name",
        ["pаypal",  # Cyrillic а
         "αdmin", "Ивaн",  # Latin a
         "한국かな", "abcа", "Иван太郎", "ㄅかな",
         "a1\u0661",  # an Arabic digit after an ASCII digit
         "bob@pаypal.com", "\u0301bob"],
    )  # fmt: skip
    def test_mixed_scripts_and_digits_are_unsafe(self, name: str, charset: UsernameCharset):
        assert username(name, charset) == ["unsafe"]

    def test_combining_marks_follow_letters_only(self):
        assert username("काव्या") == [], "with spacing marks"
        for letter in string.ascii_letters:
            assert username(f"a{letter}\u0301b") == []
        for sign in "@.+-_":
            assert username(f"a{sign}\u0301b") == ["username"], "no marks after punctuation"

    def test_lookalike_spaces_are_unsafe(self):
        for code in (0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000):
            assert username(f"a{chr(code)}b", UsernameCharset.PERMISSIVE) == ["unsafe"], hex(code)

    def test_parts_of_an_address_may_have_different_scripts(self):
        assert username("иван@example.com") == []
        assert username("иван@почта.com") == []

    def test_limits(self):
        assert username("") == username(" \u3000") == ["blank"]
        assert username("x" * 150) == []
        assert fields.username_problems("x" * 151) == [Problem("username", "too_long", 150)]

    @given(ANYTHING, st.sampled_from(UsernameCharset))
    def test_never_raises(self, text: str, charset: UsernameCharset):
        assert set(username(text, charset)) <= PROBLEM_CODES

    @given(ANYTHING)
    def test_strict_charset_is_a_subset_of_permissive(self, text: str):
        if not username(text):
            assert username(text, UsernameCharset.PERMISSIVE) == []


class TestEmail:
    @pytest.mark.parametrize(
        "address",
        ["", " ", "bob@example.com", "admin@localhost", "x@corp.local", "a@b.test", "a@x.invalid",
         "a@tor.onion", "a@host.arpa", "Bob.O'Brien+tag@Mail.Example.COM", "иван@почта.рф",
         "a@xn--mnchen-3ya.de", "a@example.co", " bob@example.com ", f"{'x' * 64}@example.com"],
    )  # fmt: skip
    def test_valid_addresses(self, address: str):
        assert fields.email_problems(address) == []

    @pytest.mark.parametrize(
        "address",
        ["bob", "@", "@example.com", "bob@", "a@@b.com", "a@b@c.com", "a b@example.com", "a@b",
         "a@b..com", ".a@b.com", "a.@b.com", "a@-b.com", "a@b.com.", "a@1.2.3.4", "a@[127.0.0.1]",
         '"a b"@example.com', "Bob <bob@example.com>", "a@exa_mple.com", "a@b.com,c@d.com",
         "a@" + "x" * 64 + ".com", f"{'x' * 65}@example.com", f"{'я' * 33}@example.com",
         "a＠example.com", "a@b.c!m", "mailto:a@b.com", "a@b.com\\"],
    )  # fmt: skip
    def test_invalid_addresses(self, address: str):
        assert fields.email_problems(address) == [Problem("email", "email")]

    def test_header_injection_is_unsafe(self):
        assert codes(fields.email_problems("a@b.com\r\nBcc: c@d.com")) == ["unsafe"]

    def test_limits(self):
        longest = "a@" + ".".join(["x" * 62] * 4)
        assert (len(longest), fields.email_problems(longest)) == (253, [])
        assert fields.email_problems("a" + longest) == []
        too_long = fields.email_problems("x@" + "y" * 260 + ".com", "mail")
        assert too_long == [Problem("mail", "too_long", 254)]

    @given(ANYTHING | ANYTHING.map(lambda text: f"a@{text}.com"))
    def test_never_raises(self, text: str):
        assert set(codes(fields.email_problems(text))) <= {"too_long", "unsafe", "email"}

    def test_no_dns_library_is_imported(self):
        program = (
            "import sys; from dragoman.rules import fields;"
            "assert not fields.email_problems('иван@почта.рф');"
            "assert not fields.email_problems('a@example.com');"
            "sys.exit('dns' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", program], check=True)


class TestUrl:
    @pytest.mark.parametrize(
        "url",
        ["", "http://example.com", "https://example.com/a?b=c#d", "HTTPS://EXAMPLE.COM:8443/",
         "http://localhost", "http://localhost:8000/x", "http://192.168.0.1/", "http://[::1]:80/",
         "https://bücher.example/ü", "https://example.com.", "http://corp.local?q",
         "https://user:pw@example.com/", "https://xn--bcher-kva.example", " http://a.bc "],
    )  # fmt: skip
    def test_valid_urls(self, url: str):
        assert fields.url_problems(url) == []

    @pytest.mark.parametrize(
        "url",
        ["example.com", "//example.com", "ftp://example.com", "javascript:alert(1)", "http://",
         "http:// example.com", "http://exa mple.com", "http://example", "http://.com",
         "http://-a.com", "http://a-.com", "http://a..com", "http://example.com:99999",
         "http://example.com:x", "http://[::1", "http://::1/", "http://[zz]/", "http://256.1.1.1",
         "http://1.2.3", "http://X1.2.3.4", "http://a_b.com", "https:/example.com", "data:text/html,x", "http://a.b"],
    )  # fmt: skip
    def test_invalid_urls(self, url: str):
        assert fields.url_problems(url) == [Problem("url", "url")]

    def test_brackets_require_ipv6(self):
        assert codes(fields.url_problems("http://[1.2.3.4]/")) == ["url"]

    def test_last_label_must_not_be_a_number(self):
        for host in ("a.11", "a.٣٣", "localhost."):
            assert codes(fields.url_problems(f"http://{host}/")) == ["url"]

    def test_host_name_has_at_most_253_characters(self):
        host = ".".join(["x" * 61] * 4) + ".bc"
        assert len(host) == 250
        for first, expected in (("", []), ("yy.", []), ("yyy.", ["url"])):
            assert codes(fields.url_problems(f"http://{first}{host}/", max_length=999)) == expected

    def test_port_is_at_most_65535(self):
        assert fields.url_problems("http://a.bc:65535/") == []
        assert codes(fields.url_problems("http://a.bc:65536/")) == ["url"]

    def test_limit_and_invisible_characters(self):
        assert fields.url_problems("http://a.bc/" + "x" * 188) == []
        assert fields.url_problems("http://a.bc/" + "x" * 200) == [Problem("url", "too_long", 200)]
        assert codes(fields.url_problems("http://a.bc/\u202egpj.exe")) == ["unsafe"]
        assert codes(fields.url_problems("http://a.bc/\nx")) == ["unsafe"]

    @given(ANYTHING | ANYTHING.map(lambda text: f"http://{text}"))
    def test_never_raises(self, text: str):
        assert set(codes(fields.url_problems(text))) <= {"too_long", "unsafe", "url"}


class TestLimits:
    """Maximum lengths, which are documented in the contracts."""

    def test_user_limits(self):
        assert fields.USER_MAX_LENGTHS == {
            "username": 150, "email": 254, "first_name": 150, "last_name": 150,
            "display_name": 150 + 1 + 150, "phone": 20, "url": 200, "company": 100,
            "location": 100, "bio": 10_000,
        }  # fmt: skip

    def test_tenant_limits(self):
        assert fields.TENANT_MAX_LENGTHS == {
            "name": 150, "slug": 160, "email": 254, "url": 200, "description": 10_000,
        }  # fmt: skip

    def test_maximum_lengths_are_valid(self):
        longest = {name: "x" * limit for name, limit in fields.USER_MAX_LENGTHS.items()}
        longest["email"] = "aa@" + ".".join(["x" * 62] * 4)
        longest["url"] = "http://a.bc/" + "x" * 188
        assert fields.user_problems(msgspec.convert(longest, UserChanges)) == []
        longest.update({name: "x" * limit for name, limit in fields.TENANT_MAX_LENGTHS.items()})
        longest.update(email="", url="")
        assert fields.tenant_problems(msgspec.convert(longest, TenantChanges)) == []

    def test_multiline_allows_newlines(self):
        assert codes(fields.text_problems("a\nb", "name", max_length=9)) == ["unsafe"]
        assert fields.text_problems("a\nb", "bio", max_length=9, multiline=True) == []


class TestRecords:
    def test_every_field_of_a_user_is_checked(self):
        bad = dict.fromkeys(fields.USER_MAX_LENGTHS, "a\0b")
        problems = fields.user_problems(msgspec.convert(bad, UserChanges))
        assert problems == [Problem(name, "unsafe") for name in fields.USER_MAX_LENGTHS]

    def test_every_limit_of_a_user_is_checked(self):
        long = {name: "x" * (limit + 1) for name, limit in fields.USER_MAX_LENGTHS.items()}
        problems = fields.user_problems(msgspec.convert(long, NewUser))
        assert problems == [
            Problem(name, "too_long", n) for name, n in fields.USER_MAX_LENGTHS.items()
        ]

    def test_unset_fields_are_not_checked(self):
        assert fields.user_problems(UserChanges()) == []
        assert fields.user_problems(UserChanges(active=False, bio="a\nb\tc")) == []
        assert fields.tenant_problems(TenantChanges()) == []

    def test_new_user_requires_only_a_username(self):
        assert fields.user_problems(NewUser(username="bob")) == []
        assert fields.user_problems(NewUser(username="")) == [Problem("username", "blank")]

    def test_each_field_has_its_own_check(self):
        given = UserChanges(email="no address", url="no url", first_name="no address")
        problems = fields.user_problems(given)
        assert problems == [Problem("email", "email"), Problem("url", "url")]

    def test_username_other_than_the_email_address(self):
        def permissive(name: str, email: str = "") -> list[Problem]:
            user = NewUser(username=name, email=email)
            return fields.user_problems(user, charset=UsernameCharset.PERMISSIVE)

        assert permissive("a b") == permissive("a b", "a@example.com") == []
        assert permissive("x" * 151, "a@example.com") == [Problem("username", "too_long", 150)]
        assert permissive("") == permissive(" ", " ") == [Problem("username", "blank")]

    def test_username_equal_to_the_email_address(self):
        address = "o'brien." + "x" * 50 + "@" + "y" * 60 + "." + "z" * 60 + ".com"
        user = NewUser(username=address, email=address)
        assert fields.user_problems(user, charset=UsernameCharset.PERMISSIVE) == []
        assert codes(fields.user_problems(user)) == ["too_long"]
        bad = NewUser(username="a\u200b@b.com", email="a\u200b@b.com")
        problems = fields.user_problems(bad, charset=UsernameCharset.PERMISSIVE)
        assert problems == [Problem("email", "unsafe")]
        spoof = NewUser(username="x@pаypal.com", email="x@pаypal.com")
        assert fields.user_problems(spoof, charset=UsernameCharset.PERMISSIVE) == [
            Problem("email", "unsafe")
        ]

    def test_tenants(self):
        good = TenantChanges(
            name="Acme & Söhne", slug="acme-1_x", email="", url="", description="a\nb"
        )
        assert fields.tenant_problems(good) == []
        assert fields.tenant_problems(TenantChanges(name=" ", slug="")) == [
            Problem("name", "blank"),
            Problem("slug", "blank"),
        ]
        for slug in ("a b", "ä", "a.b", "a/b", "a\0"):
            assert fields.tenant_problems(TenantChanges(slug=slug)) == [Problem("slug", "slug")]
        long = {name: "x" * (limit + 1) for name, limit in fields.TENANT_MAX_LENGTHS.items()}
        problems = fields.tenant_problems(msgspec.convert(long, TenantChanges))
        assert problems == [
            Problem(name, "too_long", n) for name, n in fields.TENANT_MAX_LENGTHS.items()
        ]

    @given(ANYTHING, ANYTHING, ANYTHING, st.sampled_from(UsernameCharset))
    def test_never_raises(self, name: str, email: str, bio: str, charset: UsernameCharset):
        user = NewUser(username=name, email=email, bio=bio, first_name=bio, url=email)
        tenant = TenantChanges(name=name, slug=name, email=email, url=bio, description=bio)
        found = [*fields.user_problems(user, charset=charset), *fields.tenant_problems(tenant)]
        assert set(codes(found)) <= PROBLEM_CODES


LABEL = st.from_regex(r"[a-zA-Z0-9-]{1,5}", fullmatch=True)
LOCAL_PART = st.from_regex(r"[\w.+%'=!{}|~-]{1,8}", fullmatch=True)


@given(LOCAL_PART, st.lists(LABEL, min_size=1, max_size=4), st.sampled_from(["", ".", "\n", " "]))
@example("a", ["xn--a", "com"], "")
@example("a", ["b" * 64, "com"], "")
@example("a" * 65, ["b", "com"], "")
@example("a", ["b", "c1"], "")
@example("a", ["b", "1c"], "")
@example("a", ["\u017f", "com"], "")
def test_plain_addresses_are_judged_as_by_the_library(
    local_part: str, labels: list[str], end: str
) -> None:
    """The fast way for plain addresses never says anything else than the slow one."""
    address = f"{local_part}@{'.'.join(labels)}{end}"
    if fields.is_plain_email(address):
        assert is_email_by_library(address), address
    assert (fields.email_problems(address) == []) == is_email_by_library(address.strip())


def is_email_by_library(address: str) -> bool:
    try:
        email_validator.validate_email(
            address, check_deliverability=False, globally_deliverable=False
        )
    except email_validator.EmailNotValidError:
        return False
    local_part, _, domain = address.rpartition("@")
    fits = len(address) <= 254 and len(local_part.encode()) <= 64
    return fits and "." in domain and not domain.rpartition(".")[2].isdigit()


def test_usual_addresses_take_the_fast_way() -> None:
    for address in ("anna.miller+news@mail.example.net", "A_B%c-d@x1.co", "a@b-c.example"):
        assert fields.is_plain_email(address), address
