"""Every sample file is cut into records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.records import FileOptions, FileProblem

SAMPLES = Path(__file__).parents[1] / "samples"
TABLES = {  # file: encoding, delimiter, records
    "aspnet-AspNetUsers.csv": ("utf-16-le", ",", 10),
    "binacle-1.3-users.csv": ("utf-8", ",", 10),
    "clerk-users.csv": ("utf-8", ",", 10),
    "django-auth_user.csv": ("utf-8", ",", 10),
    "drupal-users.csv": ("utf-8", ",", 10),
    "gitea-user.csv": ("utf-8", ",", 10),
    "invalid-utf8.csv": ("utf-8", ",", 3),
    "laravel-users.csv": ("utf-8", ",", 10),
    "messy-semicolon-latin1.csv": ("cp1252", ";", 10),
    "messy.csv": ("utf-8", ",", 22),
    "nextcloud-oc_users.csv": ("utf-8", ",", 10),
    "odoo-res_users.csv": ("utf-8", ",", 10),
    "okta-people.csv": ("utf-8", ",", 10),
    "pocketbase-users.csv": ("utf-8", "|", 10),
    "supabase-auth-users.csv": ("utf-8", ",", 10),
    "wordpress-users.csv": ("utf-8", ",", 10),
}
DOCUMENTS = {  # file: path of the list, records
    "better-auth.json": ("user", 10),
    "django-dumpdata.json": ("", 14),
    "firebase-users.json": ("users", 10),
    "keycloak-realm.json": ("users", 11),
    "kratos-identities.json": ("", 10),
    "zitadel-import.json": ("data_orgs.orgs.humanUsers", 10),
}
LINES = {
    "auth0-passwords.ndjson": 8,
    "auth0-users.ndjson": 10,
    "messy.ndjson": 13,
    "wekan-users.ndjson": 10,
}
OTHERS = {
    "openldap.ldif", "empty.csv", "no-header.csv", "firebase-hash-config.txt", "README.md",
    "expected.ndjson", "vectors.json",
}  # fmt: skip


def test_no_sample_is_forgotten() -> None:
    names = {path.name for path in SAMPLES.iterdir()}
    assert names == {*TABLES, *DOCUMENTS, *LINES, *OTHERS}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    encoding, delimiter, count = TABLES[name]
    options = FileOptions(encoding="cp1252" if encoding == "cp1252" else "")
    source = open_records(SAMPLES / name, options)
    records = list(source)
    assert (source.format, source.encoding, source.delimiter) == ("csv", encoding, delimiter)
    assert len(records) == count
    assert [record.number for record in records] == list(range(1, count + 1))
    for record in records:
        assert record.problem or tuple(record.values) == source.header


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(name: str) -> None:
    path, count = DOCUMENTS[name]
    source = open_records(SAMPLES / name, FileOptions(), list_paths=[path])
    records = list(source)
    assert (source.format, source.list_path, len(records)) == ("json", path, count)
    text = (SAMPLES / name).read_text()
    for record in records:
        assert record.problem is None
        assert json.loads(record.raw) == record.values
        # The line is where it begins.
        rest = "".join(text.splitlines(keepends=True)[record.line - 1 :]).lstrip()
        assert rest.startswith(record.raw.decode())


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str) -> None:
    source = open_records(SAMPLES / name, FileOptions())
    records = list(source)
    assert (source.format, len(records)) == ("ndjson", LINES[name])
    lines = (SAMPLES / name).read_bytes().split(b"\n")
    for record in records:
        assert record.raw == lines[record.line - 1]
        assert record.problem or json.loads(record.raw) == record.values


def test_an_ldif_file() -> None:
    records = list(open_records(SAMPLES / "openldap.ldif", FileOptions()))
    assert [record.line for record in records[:3]] == [4, 8, 22]
    first = records[1].values
    assert first["uid"] == ["celine.adeyemi242"]
    assert first["cn"] == ["Céline Adeyemi"]
    assert first["userPassword"] == ["{SSHA}76MeKFLTh8gC57HGQ+MRYH45c2Z5deOyiG+Bcg=="]
    assert records[3].values["mail"] == [
        "esra.rossi244@example.com",
        "alias.esra.rossi244@example.com",
    ]
    assert records[4].values["description"] == ["two\nlines"]


def expected(name: str) -> dict[int, dict[str, object]]:
    rows = map(json.loads, (SAMPLES / "expected.ndjson").read_text().splitlines())
    return {row["line"]: row for row in rows if row["file"] == name and "line" in row}


def test_what_cannot_be_read_of_the_messy_table() -> None:
    records = list(open_records(SAMPLES / "messy.csv", FileOptions()))
    problems = [record.problem for record in records if record.problem]
    assert [(each.line, each.code) for each in problems] == [
        (14, "columns"),
        (15, "columns"),
        (25, "syntax"),
    ]
    assert problems[0].message == "line 14: 3 columns, 8 expected"
    assert problems[2].message == "line 25, column 54: the quote is never closed"
    known = expected("messy.csv")
    for record in records:
        if record.problem is None and known[record.line]["result"] == "create":
            assert known[record.line].get("email") in {None, record.values["email"].strip()}


def test_what_cannot_be_read_of_the_messy_lines() -> None:
    records = list(open_records(SAMPLES / "messy.ndjson", FileOptions()))
    problems = {record.line: record.problem for record in records if record.problem}
    assert set(problems) == {4, 5, 6, 7, 8, 9}
    assert {problem.code for problem in problems.values()} == {"syntax"}
    assert problems[4].message == "line 4: duplicate key"
    assert problems[6].message == "line 6: a list, not an object"


def test_a_byte_that_is_not_utf8_is_named() -> None:
    records = list(open_records(SAMPLES / "invalid-utf8.csv", FileOptions()))
    good, bad, last = records
    assert good.values["first_name"] == "José"
    assert last.values["username"] == "utf3"
    assert bad.problem is not None
    assert bad.problem.code == "encoding"
    assert bad.problem.message.startswith("line 3, column 26: byte 0xE9 is not UTF-8")
    assert bad.raw == b"utf2,utf2@example.com,Jos\xe9"


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(FileProblem, match="the file is empty"):
        open_records(SAMPLES / "empty.csv", FileOptions())


def test_a_file_without_header_needs_its_columns() -> None:
    options = FileOptions(columns=("username", "email", "first_name", "last_name"))
    (record,) = open_records(SAMPLES / "no-header.csv", options)
    assert record.line == 1
    assert record.values["username"] == "jan"
