"""LDIF (RFC 2849)."""

from __future__ import annotations

import base64

import pytest


def test_comments_folded_lines_and_several_values(open_file) -> None:
    source = open_file(
        "version: 1\r\n\r\n# a comment\r\n  that goes on\r\ndn: uid=mia,dc=exam\r\n ple\r\n"
        "uid: mia\r\nmail: a@example.com\r\nMail: b@example.com\r\ncn;lang-de:: WsO2\r\n"
        "empty:\r\n\r\n\r\ndn: uid=otto\r\n"
    )
    first, second = source
    assert source.format == "ldif"
    assert first.values == {
        "dn": ["uid=mia,dc=example"],
        "uid": ["mia"],
        "mail": ["a@example.com", "b@example.com"],
        "cn;lang-de": ["Zö"],
        "empty": [""],
    }
    assert first.values["MAIL"] == first.values.get("mAil")
    assert "Uid" in first.values
    assert (first.line, second.line, second.number) == (3, 14, 2)


def test_the_version_may_be_in_the_first_entry(read) -> None:
    (record,) = read("version: 1\ndn: uid=mia\nuid: mia\n")
    assert record.values == {"dn": ["uid=mia"], "uid": ["mia"]}


def test_bytes_that_are_no_text_are_passed_over_unless_they_should_be(read) -> None:
    photo = base64.b64encode(b"\xff\xd8\xff").decode()
    good, bad = read(f"dn: a\njpegPhoto:: {photo}\n\ndn: b\ncn:: {photo}\n")
    assert good.values == {"dn": ["a"]}
    assert bad.problem.code == "encoding"
    assert bad.problem.message == "line 5: byte 0xFF is not UTF-8 (cn)"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("changetype: delete", "changes are not imported, only entries (changetype)"),
        ("control: 1.2.3 true", "changes are not imported, only entries (control)"),
        ("jpegphoto:< file:///etc/passwd", "values at a URL are not read (jpegphoto)"),
        ("cn:: ***", "not base64 (cn)"),
        ("nothing", "not an attribute and its value (RFC 2849)"),
        ("-", "not an attribute and its value (RFC 2849)"),
    ],
)
def test_what_is_refused_is_named_with_its_line(read, line, message) -> None:
    bad, good = read(f"dn: a\n{line}\n\ndn: b\n")
    assert bad.problem.code == "syntax"
    assert bad.problem.message == f"line 2: {message}"
    assert bad.raw == f"dn: a\n{line}".encode()
    assert good.values == {"dn": ["b"]}


def test_an_entry_without_a_dn_is_refused(read) -> None:
    good, bad = read("dn: a\n\nuid: b\n")
    assert good.problem is None
    assert bad.problem.message == "line 3: an entry begins with its dn"
