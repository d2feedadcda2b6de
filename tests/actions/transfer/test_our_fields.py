"""Our own columns and fields: what a row, a line, or a line of an export means."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from dragoman.actions.transfer import translate
from dragoman.actions.transfer.formula_cells import MARK_COLUMN, defuse
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportedUser,
    ImportOptions,
    Translation,
)
from dragoman.dialects import import_columns
from dragoman.rules.model import Role

NOW = 1_764_000_000_000_000  # 2025-11-24
SSHA = "{SSHA}CqmZj3BApGVJXb2P0pB3U5nGGuFzYWx0c2FsdA=="
MD5 = "5f4dcc3b5aa765d61d8327deb882cf99"


def read(path: Path, file_options: FileOptions | None = None, **chosen: Any) -> list[Translation]:
    options = file_options or FileOptions()
    source = open_records(path, options)
    choice = translate.choose(
        source,
        options,
        ImportOptions(**chosen),
        aliases=import_columns(),
        context=lambda _: Context(now=NOW),
    )
    return [choice.translate(record) for record in source]


@pytest.fixture
def people(tmp_path: Path) -> Any:
    """Return what one JSON object of our fields means."""

    def translated(*lines: dict[str, Any], **chosen: Any) -> Translation:
        path = tmp_path / "people.ndjson"
        path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
        return read(path, **chosen)[-1]

    return translated


def codes(translation: Translation) -> list[tuple[str, str]]:
    assert translation.user is None
    return [(problem.field, problem.code) for problem in translation.problems]


def test_all_fields_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "id;Login;E-Mail;phone_number;is_active;verified;Role;tenant;created_at;hash\n"
        f"7;anna;anna@example.com;123;yes;no;OWNER;acme;2020-01-02;{SSHA}\n"
    )
    (found,) = read(path)
    assert found == Translation(
        user=ImportedUser(
            line=2,
            id=7,
            username="anna",
            email="anna@example.com",
            phone="123",
            active=True,
            verified=False,
            role=Role.OWNER,
            tenant="acme",
            created_at=1_577_923_200_000_000,
            password_hash=SSHA,
        ),
        hash_scheme="ssha",
    )


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("anna,anna@example.com\n")
    (found,) = read(path, FileOptions(columns=("username", "email")))
    assert found.user == ImportedUser(line=1, username="anna", email="anna@example.com")


def test_the_opposite_of_a_boolean(people: Any) -> None:
    assert people({"username": "anna", "loginDisabled": True}).user.active is False
    assert people({"username": "anna", "loginDisabled": False}).user.active is True
    assert people({"username": "anna", "loginDisabled": None}).user.active is UNSET


def test_unknown_fields(people: Any) -> None:
    line = {"username": "anna", "usernme": 1, "pet": 2}
    assert codes(people(line)) == [("", "columns"), ("", "columns")]
    assert "did you mean username?" in people(line).problems[0].message
    assert people(line, ignore_unknown=True).user.username == "anna"
    mapped = people(line, map={"pet": "", "usernme": ""})
    assert mapped.user == ImportedUser(line=1, username="anna")


def test_a_field_twice(people: Any) -> None:
    assert codes(people({"email": "a@example.com", "mail": "b@example.com"})) == [
        ("email", "columns")
    ]


@pytest.mark.parametrize("value", [5, True, ["x"], {"a": 1}])
def test_values_of_another_kind(people: Any, value: Any) -> None:
    assert codes(people({"username": "anna", "first_name": value})) == [("first_name", "invalid")]


def test_all_problems_of_a_line_at_once(people: Any) -> None:
    line = {"username": "anna", "email": "no", "active": "maybe", "hash": MD5, "id": -1}
    assert codes(people(line)) == [
        ("active", "invalid"),
        ("id", "invalid"),
        ("password_hash", "refused_hash"),
        ("email", "invalid"),
    ]


def test_messages_never_show_a_hash_or_a_password(people: Any) -> None:
    for bad in (MD5, "$2b$10$nonsense", "S3cret\\back/slash"):
        (problem,) = people({"username": "anna", "password_hash": bad}).problems
        assert bad not in problem.message
    (problem,) = people({"username": "anna", "password": "S3cret"}).problems
    assert problem.code == "clear_password"
    assert "S3cret" not in problem.message


@pytest.mark.parametrize("nothing", ["", None, "!", "!unusable", "*", "NULL"])
def test_no_password(people: Any, nothing: Any) -> None:
    found = people({"username": "anna", "password_hash": nothing})
    assert found == Translation(user=ImportedUser(line=1, username="anna"))


def test_bad_hashes_may_be_dropped(people: Any) -> None:
    found = people({"username": "anna", "password_hash": MD5}, bad_hashes="drop")
    assert found.user == ImportedUser(line=1, username="anna")
    assert found.warnings == ["password dropped: MD5 and NTLM are too weak"]
    assert not found.hash_scheme


def test_passwords_in_clear_only_by_choice(people: Any) -> None:
    found = people({"username": "anna", "password": " correct horse "}, hash_plain=True)
    assert found.user == ImportedUser(line=1, username="anna", plain_password=" correct horse ")
    assert found.hash_scheme == "argon2id"
    found = people({"username": "anna", "password_hash": "correct horse"}, hash_plain=True)
    assert found.user.plain_password == "correct horse"
    assert found.user.password_hash is UNSET


def test_passwords_in_clear_have_limits(people: Any) -> None:
    long = people({"username": "anna", "password": "x" * 1025}, hash_plain=True)
    assert codes(long) == [("password", "too_long")]


@pytest.mark.parametrize(
    ("chosen", "verified"), [("from-file", False), ("never", False), ("always", True)]
)
def test_whether_addresses_are_proven(people: Any, chosen: str, verified: bool) -> None:
    line = {"email": "anna@example.com", "verified": False}
    assert people(line, verified=chosen).user.verified is verified
    assert people({"username": "anna"}, verified=chosen).user.verified is UNSET


def test_roles(people: Any) -> None:
    line = {"username": "anna", "role": "Boss"}
    assert codes(people(line)) == [("role", "unknown_role")]
    assert people(line, map_role={"boss": "owner"}).user.role == Role.OWNER
    line = {"username": "anna", "role": "admin"}
    assert codes(people(line)) == [("role", "forbidden_role")]
    assert people(line, map_role={"admin": "owner"}).user.role == Role.OWNER
    assert people(line, allow_platform_roles=True).user.role == Role.ADMIN


def test_map_role_names_a_role_of_ours(people: Any) -> None:
    with pytest.raises(FileProblem, match="--map-role boss=chief: one of superadmin"):
        people({"username": "anna"}, map_role={"boss": "chief"})


def test_products_that_there_are_not(tmp_path: Path) -> None:
    path = tmp_path / "people.ndjson"
    path.write_text('{"username": "anna"}\n')
    with pytest.raises(FileProblem, match="no such product; one of dragoman, "):
        read(path, FileOptions(recipe="unheard-of"))
    with pytest.raises(FileProblem, match="--from okta: a file of csv is expected, this is ndjson"):
        read(path, FileOptions(recipe="okta"))


def test_lists_of_our_own_records_in_a_document(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text('{"staff": [{"username": "anna"}, {"username": "bob"}]}')
    assert [found.user and found.user.username for found in read(path)] == ["anna", "bob"]


EXPORTED = {
    "type": "user",
    "id": 7,
    "public_id": "GLrGPvF5s6Aw3FJWy",
    "tenant": "acme",
    "role": "owner",
    "username": "-anna",
    "email": "=anna@example.com",
    "email_assigned": True,
    "email_verified": True,
    "first_name": "'+Anna",
    "last_name": "Miller",
    "display_name": "'Anna'",
    "phone": "+1",
    "bio": "two\nlines",
    "url": "https://example.com",
    "company": "ACME",
    "location": "Berlin",
    "active": False,
    "approved": True,
    "verified": True,
    "signed_up": False,
    "strong_password": None,
    "created_at": "2020-01-02T00:00:00.000001Z",
    "updated_at": "2020-01-02T00:00:00Z",
    "last_login_at": None,
    "groups": ["staff"],
    "permissions": [],
    "access": [],
    "password_hash": SSHA,
}
IMPORTED = ImportedUser(
    line=1,
    id=7,
    public_id="GLrGPvF5s6Aw3FJWy",
    tenant="acme",
    role=Role.OWNER,
    username="-anna",
    email="=anna@example.com",
    verified=True,
    first_name="'+Anna",
    last_name="Miller",
    display_name="'Anna'",
    phone="+1",
    bio="two\nlines",
    url="https://example.com",
    company="ACME",
    location="Berlin",
    active=False,
    approved=True,
    created_at=1_577_923_200_000_001,
    password_hash=SSHA,
)


def test_a_line_of_an_export(people: Any) -> None:
    found = people(EXPORTED)
    assert found.problems == []
    user = msgspec.structs.replace(found.user, last_login_at=UNSET, strong_password=UNSET)
    assert user == IMPORTED
    assert found.user.strong_password is None
    assert found.warnings == ["groups are not taken over"]


@pytest.mark.parametrize("kind", ["dragoman", "directory", "tenant", "group"])
def test_lines_of_an_export_that_are_no_people(people: Any, kind: str) -> None:
    found = people({"type": kind, "slug": "acme", "unheard-of": 1})
    assert found.skipped
    assert not found.problems


@pytest.mark.parametrize("defused", [True, False])
def test_a_table_of_an_export(tmp_path: Path, *, defused: bool) -> None:
    path = tmp_path / "people.csv"
    names = [name for name in EXPORTED if name not in {"type", "groups", "permissions", "access"}]
    cells = ["" if EXPORTED[name] is None else str(EXPORTED[name]) for name in names]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([MARK_COLUMN, *names] if defused else names)
        writer.writerow(["user", *map(defuse, cells)] if defused else cells)
    (found,) = read(path)
    expected = msgspec.structs.replace(IMPORTED, line=2)
    assert found.user == expected


def test_apostrophes_of_other_tables_are_data(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("username,first_name\nanna,'=A1\n")
    assert [found.user and found.user.first_name for found in read(path)] == ["'=A1"]
