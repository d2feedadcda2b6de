"""Values that a row may have: limits, characters, ids, roles."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.actions.transfer import check
from dragoman.actions.transfer.records import ROW_CODES, ImportedUser, ImportOptions
from dragoman.rules.model import Role

PUBLIC_ID = "GLrGPvF5s6Aw3FJWy"


def codes(options: ImportOptions | None = None, **fields: Any) -> list[tuple[str, str]]:
    found = check.problems(ImportedUser(line=4, **fields), options or ImportOptions())
    assert all(problem.line == 4 and problem.code in ROW_CODES for problem in found)
    assert all(problem.message for problem in found)
    return [(problem.field, problem.code) for problem in found]


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "anna"},
        {"username": "Jan de Vries 187"},
        {"username": "Änne Łukasz"},
        {"email": "anna@example.com"},
        {"username": "a" * 185 + "@example.com", "email": "A" * 50 + "@example.com"},
        {"username": "anna", "bio": "two\nlines", "url": "https://example.com/~anna"},
        {"username": "anna", "id": 5, "public_id": PUBLIC_ID, "tenant": "acme", "role": Role.OWNER},
    ],
)
def test_good_rows(fields: dict[str, Any]) -> None:
    too_long = len(fields.get("username", "")) > 150
    assert codes(**fields) == ([("username", "too_long")] if too_long else [])


def test_an_address_as_username_may_be_as_long_as_an_address() -> None:
    address = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example.com"
    assert codes(username=address, email=address.upper()) == []
    assert codes(username=address) == [("username", "too_long")]


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({}, [("username", "blank")]),
        ({"id": 5}, [("username", "blank")]),
        ({"username": "раypal"}, [("username", "unsafe")]),
        ({"username": "a\u200bb"}, [("username", "unsafe")]),
        ({"email": "not an address"}, [("email", "invalid")]),
        ({"email": "a" * 250 + "@b.c"}, [("email", "invalid")]),
        ({"username": "anna", "first_name": "x" * 151}, [("first_name", "too_long")]),
        ({"username": "anna", "first_name": "a\0b"}, [("first_name", "unsafe")]),
        ({"username": "anna", "first_name": "two\nlines"}, [("first_name", "unsafe")]),
        ({"username": "anna", "url": "javascript:alert(1)"}, [("url", "invalid")]),
        ({"username": "anna", "tenant": "no slug"}, [("tenant", "invalid")]),
        ({"username": "anna", "public_id": "short"}, [("public_id", "invalid")]),
        ({"username": "anna", "public_id": "0" * 17}, [("public_id", "invalid")]),
        ({"username": "anna", "role": Role.ADMIN}, [("role", "forbidden_role")]),
        (
            {"email": "x", "last_name": "y" * 151, "role": Role.SUPERADMIN},
            [("email", "invalid"), ("last_name", "too_long"), ("role", "forbidden_role")],
        ),
    ],
)
def test_bad_rows(fields: dict[str, Any], problems: list[tuple[str, str]]) -> None:
    assert codes(**fields) == problems


def test_platform_roles_by_choice() -> None:
    allowed = ImportOptions(allow_platform_roles=True)
    assert codes(allowed, username="anna", role=Role.SUPERADMIN) == []


def test_an_update_by_id_needs_no_name() -> None:
    by_id = ImportOptions(match="id", on_conflict="update")
    assert codes(by_id, id=5, phone="1") == []
    assert codes(by_id, public_id=PUBLIC_ID) == [("username", "blank")]


def test_messages_say_the_limit_and_not_the_value() -> None:
    user = ImportedUser(line=4, username="anna", first_name="Secret" * 26)
    (problem,) = check.problems(user, ImportOptions())
    assert problem.message == "first_name: 156 characters, at most 150"
