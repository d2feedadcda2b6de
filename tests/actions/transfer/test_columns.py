"""Our own columns: names, aliases, --map, and headers that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.actions.transfer.columns import ColumnNames
from dragoman.actions.transfer.records import FileProblem
from dragoman.actions.transfer.values import CONVERTERS
from dragoman.dialects import import_columns

CONTRACTS = {"_id": "public_id", "joinedOn": "created_at", "loginOff": "!active"}


def names(**chosen: str) -> ColumnNames:
    return ColumnNames(CONTRACTS, chosen)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("E-Mail", "email"),
        ("e_mail", "email"),
        (" mail ", "email"),
        ("First name", "first_name"),
        ("firstName", "first_name"),
        ("LOGIN", "username"),
        ("name", "display_name"),
        ("_id", "public_id"),
        ("id", "id"),
        ("joined_on", "created_at"),
        ("loginOff", "!active"),
        ("email_verified", "verified"),
        ("updated_at", ""),
        ("favourite colour", None),
    ],
)
def test_names(theirs: str, ours: str | None) -> None:
    assert names().find(theirs) == ours


def test_header() -> None:
    found = names(Nick="display name", Note="").resolve(["Username", "Nick", "Note", "pet"])
    assert found.fields == {"Username": "username", "Nick": "display_name"}
    assert found.unknown == ("pet",)
    assert found.warnings == ("column 'pet' is not known and is passed over",)


def test_near_misses_are_suggested() -> None:
    (warning,) = names().resolve(["email", "usernme"]).warnings
    assert "did you mean username? --map usernme=username" in warning
    assert "did you mean first_name?" in names().unknown_field("firstnam")
    with pytest.raises(FileProblem, match=r"'emial' \(email\?\)"):
        names().resolve(["emial", "jan@example.com"])


def test_columns_of_an_export_that_are_not_taken_over_are_named() -> None:
    (warning,) = names().resolve(["username", "groups", "grants", "type"]).warnings
    assert warning.startswith("column 'groups' is not taken over")


def test_an_export_says_twice_whether_an_address_is_proven() -> None:
    found = names().resolve(["username", "email_verified", "verified"])
    assert found.fields == {"username": "username", "verified": "verified"}


@pytest.mark.parametrize(
    ("header", "chosen", "message"),
    [
        (["jan", "jan@example.com"], {}, "line 3: no column is known"),
        (["groups", "type"], {}, "no column is known"),
        (["email", "E-Mail"], {}, "email is there twice: 'email' and 'E-Mail'"),
        (["active", "loginOff"], {}, "active is there twice"),
        (["email", "mail"], {}, "--map mail= passes one over"),
        (["email"], {"mial": "username"}, "the file has no column 'mial'"),
        (["email"], {"email": "emial"}, "no field 'emial' of ours; did you mean email"),
    ],
)
def test_headers_that_are_refused(header: list[str], chosen: dict[str, str], message: str) -> None:
    with pytest.raises(FileProblem) as caught:
        names(**chosen).resolve(header, line=3)
    assert message in str(caught.value)
    assert caught.value.problem.code == "columns"
    assert "jan" not in str(caught.value)


def test_a_second_column_may_be_passed_over() -> None:
    chosen: dict[str, Any] = {"mail": ""}
    assert names(**chosen).resolve(["email", "mail"]).fields == {"email": "email"}


def test_the_contracts_name_fields_that_there_are() -> None:
    columns = import_columns()
    assert columns["phone_number"] == "phone"
    assert columns["loginDisabled"] == "!active"
    assert {ours.removeprefix("!") for ours in columns.values()} <= CONVERTERS.keys()
