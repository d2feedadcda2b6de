"""What is wrong with a file is said for each line, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman.actions.transfer.directory_check import CheckedDirectory, check_directory
from dragoman.actions.transfer.directory_format import MAX_LINE
from dragoman.actions.transfer.records import ROW_CODES, FileProblem, RowProblem
from tests.actions.transfer.directories import Problems

HEADER = {"type": "dragoman", "format": 1}
ACME = {"type": "tenant", "id": 1, "public_id": "a-1", "slug": "acme", "name": "Acme"}
TEAM = {"type": "group", "id": 1, "tenant": "acme", "name": "Team"}
ANN = {"type": "user", "id": 1, "username": "ann", "email": "ann@acme.test", "tenant": "acme"}


class Checked(msgspec.Struct):
    """What was found, and what was reported."""

    directory: CheckedDirectory
    problems: list[RowProblem]


def check(tmp_path: Path, *lines: dict[str, Any] | bytes) -> Checked:
    path = tmp_path / "directory.ndjson"
    encoded = [line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines]
    path.write_bytes(b"\n".join(encoded))
    problems = Problems()
    return Checked(check_directory(path, problems), problems.found)


def test_a_good_file_has_no_problems(tmp_path: Path):
    checked = check(tmp_path, HEADER, ACME, TEAM, {**ANN, "groups": ["team"]})
    assert checked.problems == []
    found = checked.directory
    assert found.is_good
    assert (found.tenants, found.groups, found.tally.created) == (1, 1, 1)
    assert (found.highest.tenants, found.highest.groups, found.highest.users) == (1, 1, 1)


@pytest.mark.parametrize(
    ("line", "field", "code", "words"),
    [
        ({**ANN, "tenant": "nope"}, "tenant", "unknown_tenant", "'nope'"),
        ({**ANN, "role": "king"}, "role", "unknown_role", "'king'"),
        ({**ANN, "permissions": ["users.fly"]}, "permissions", "invalid", "'users.fly'"),
        ({**ANN, "permissions": ["users.view"] * 2}, "permissions", "duplicate", "twice"),
        ({**ANN, "groups": ["Nobody"]}, "groups", "invalid", "'Nobody'"),
        ({**ANN, "grants": {"users.view": {}}}, "grants", "invalid", "only those"),
        ({**ANN, "access": [{"resource": "", "level": "x"}]}, "access", "blank", "empty"),
        ({**ANN, "access": [{"resource": "a\x00", "level": "x"}]}, "resource", "unsafe", "control"),
        ({**ANN, "password_hash": "hunter2"}, "password_hash", None, "password_hash"),
        ({**ANN, "password_hash": "$1$x$y"}, "password_hash", "refused_hash", "password_hash"),
        ({**ANN, "username": "a\x00"}, "username", "unsafe", "control"),
        ({**ANN, "email": "no address"}, "email", "invalid", "not a valid"),
        ({**ANN, "public_id": "short"}, "public_id", "invalid", "17"),
        ({**ANN, "verified": True, "email_verified": False}, "verified", "invalid", "differs"),
        ({**ANN, "created_at": "2024-01-01"}, "created_at", "invalid", "RFC3339"),
        ({**ANN, "created_at": "2024-01-01T00:00:00"}, "created_at", "invalid", "timezone"),
        ({**ANN, "id": 0}, "id", "invalid", ">= 1"),
        ({**ANN, "id": 2**64}, "id", "invalid", "<="),
        ({**ANN, "shoe_size": 44}, "", "columns", "shoe_size"),
        ({"type": "user"}, "", "columns", "username"),
        ({"type": "robot"}, "type", "invalid", "robot"),
        (HEADER, "type", "invalid", "beginning"),
        ({"type": "directory", "tenants": 1, "groups": 1, "users": 1}, "type", "invalid", "begin"),
        (b"{", "", "syntax", "truncated"),
        (b'{"type":"user","username":"\xff"}', "", "encoding", "byte 28"),
        ({**ACME, "id": 2}, "slug", "duplicate", "line 2"),
        ({**ACME, "slug": "b", "name": "B", "id": 1}, "id", "duplicate", "line 2"),
        ({**ACME, "slug": "b b", "name": "B", "id": 2}, "slug", "invalid", "slug"),
        ({**ACME, "slug": "b", "name": " ", "id": 2}, "name", "blank", "empty"),
        ({**TEAM, "id": 2, "name": "TEAM"}, "name", "duplicate", "line 3"),
        ({**TEAM, "id": 2, "name": "x", "tenant": "b"}, "tenant", "unknown_tenant", "'b'"),
        ({**TEAM, "id": 2, "name": "x", "permissions": ["?"]}, "permissions", "invalid", "'?'"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_is_wrong_with_a_line(
    tmp_path: Path, line: dict[str, Any] | bytes, field: str, code: str | None, words: str
):
    found = check(tmp_path, HEADER, ACME, TEAM, line)
    problem = found.problems[0]
    assert (problem.line, problem.field) == (4, field)
    assert problem.code == (code or problem.code)
    assert problem.code in ROW_CODES
    assert words in problem.message
    assert "hunter2" not in problem.message
    assert found.directory.tally.created == 0
    assert not found.directory.is_good


@pytest.mark.parametrize(
    "second",
    [
        {"id": 2, "username": "ANN"},
        {"id": 2, "username": "b", "email": "Ann@Acme.test"},
        {"id": 2, "username": "ann@acme.test"},
        {"id": 1, "username": "b"},
        {**ANN},
    ],
    ids=str,
)
def test_a_person_who_is_there_twice(tmp_path: Path, second: dict[str, Any]):
    found = check(tmp_path, HEADER, ACME, ANN, {"type": "user", **second})
    assert [(problem.line, problem.code) for problem in found.problems] == [(4, "duplicate")]
    tally = found.directory.tally
    assert (tally.created, tally.refused, tally.refused_by) == (1, 1, {"duplicate": 1})


def test_an_address_that_signs_another_user_in_is_no_duplicate(tmp_path: Path):
    second = {"type": "user", "id": 2, "username": "b", "email": "ann@acme.test", "email_key": ""}
    assert check(tmp_path, HEADER, ACME, ANN, second).problems == []


def test_a_file_that_was_cut_off(tmp_path: Path):
    declared = {"type": "directory", "tenants": 1, "groups": 0, "users": 2}
    found = check(tmp_path, HEADER, declared, ACME, ANN)
    [problem] = found.problems
    assert problem.message == "users: 2 according to line 2, but there are 1"


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({"type": "dragoman", "format": 2}, "upgrade dragoman"),
        ({"type": "dragoman", "format": "1"}, "missing"),
        ({"type": "dragoman"}, "missing"),
        ({"type": "user"}, "not the first line"),
        (b"", "not the first line"),
    ],
    ids=str,
)
def test_a_file_of_another_format(tmp_path: Path, first: Any, words: str):
    with pytest.raises(FileProblem, match=words):
        check(tmp_path, first, ACME)


def test_a_line_without_an_end(tmp_path: Path):
    with pytest.raises(FileProblem, match="longer"):
        check(tmp_path, HEADER, b" " * (MAX_LINE + 1))
