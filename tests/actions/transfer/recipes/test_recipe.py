"""Recipes: the interpreter, with a made-up product."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from dragoman.actions.transfer import recipes
from dragoman.actions.transfer.recipes.recipe import (
    Context,
    Recipe,
    RecipeTranslator,
    Row,
    always,
    first_of,
    when,
)
from dragoman.actions.transfer.records import ImportedUser, ImportOptions, Record, Translation
from dragoman.actions.transfer.values import ValueProblem
from dragoman.rules.model import Role

SALTED = "CqmZj3BApGVJXb2P0pB3U5nGGuFzYWx0c2FsdA=="
NOW = 1_700_000_000_000_000


def is_robot(row: Row) -> bool:
    return row.flag("robot")


def stored_hash(row: Row) -> str:
    if row.text("hash.kind") == "rot13":
        raise ValueProblem("refused_hash", "rot13 is not taken over")
    if not row.text("hash.value"):
        return ""
    return row.context.hash_config["prefix"] + row.text("hash.value")


MADE_UP = Recipe(
    name="made-up",
    product="Made-Up",
    formats=("json",),
    fields={
        "username": "login",
        "email": "mails.0.address",
        "verified": "mails.0.proven",
        "company": always("ACME"),
        "created_at": "since",
    },
    password_hash=stored_hash,
    role="powers",
    roles={"chief": Role.OWNER, "guest": Role.VIEWER},
    skip=(when(is_robot, "a robot"), when("gone", "deleted")),
    warn=(when("mails.1.address", "the second address is not taken over"),),
    unwrap="person",
    only=lambda row: row.get("invoice") is None,
)


def translated(values: dict[str, Any], **options: Any) -> Translation:
    context = Context(now=NOW, hash_config={"prefix": "{SSHA}"})
    translate = RecipeTranslator(MADE_UP, ImportOptions(**options), context)
    return translate(Record(number=1, line=7, values=values, raw=b"", position=0))


def test_fields_paths_constants_and_functions() -> None:
    found = translated(
        {
            "login": " anna ",
            "mails": [{"address": "anna@example.com", "proven": True}],
            "since": "2020-01-02T03:04:05Z",
            "hash": {"value": SALTED},
            "unheard-of": {"deep": [1]},
        }
    )
    assert found == Translation(
        user=ImportedUser(
            line=7,
            username="anna",
            email="anna@example.com",
            verified=True,
            company="ACME",
            created_at=1_577_934_245_000_000,
            password_hash="{SSHA}" + SALTED,
        ),
        hash_scheme="ssha",
    )


@pytest.mark.parametrize(
    ("values", "reason"), [({"robot": "yes"}, "a robot"), ({"gone": 5, "since": "x"}, "deleted")]
)
def test_what_is_no_person_is_skipped(values: dict[str, Any], reason: str) -> None:
    assert translated(values) == Translation(skipped=reason)


def test_all_problems_at_once_with_our_names() -> None:
    mails = [{"address": "no address"}]
    found = translated({"mails": mails, "since": "yesterday", "hash": {"kind": "rot13"}})
    assert [(p.line, p.field, p.code) for p in found.problems] == [
        (7, "created_at", "invalid"),
        (7, "password_hash", "refused_hash"),
        (7, "email", "invalid"),
    ]
    assert found.user is None


def test_warnings() -> None:
    mails = [{"address": "a@example.com"}, {"address": "b@example.com"}]
    assert translated({"mails": mails}).warnings == ["the second address is not taken over"]


@pytest.mark.parametrize(
    ("powers", "role"),
    [("chief", Role.OWNER), (["GUEST", "chief", "clown"], Role.OWNER), ("guest", Role.VIEWER)],
)
def test_the_highest_known_role_counts(powers: Any, role: Role) -> None:
    user = translated({"login": "anna", "powers": powers}).user
    assert user is not None
    assert user.role == role


def test_other_roles_are_errors_unless_mapped() -> None:
    assert [p.code for p in translated({"login": "anna", "powers": ["clown"]}).problems] == [
        "unknown_role"
    ]
    user = translated({"login": "anna", "powers": ["clown"]}, map_role={"Clown": "member"}).user
    assert user is not None
    assert user.role == Role.MEMBER


def test_bad_hashes_are_dropped_if_so_chosen() -> None:
    found = translated({"login": "anna", "hash": {"kind": "rot13"}}, bad_hashes="drop")
    assert found.user == ImportedUser(line=7, username="anna", company="ACME")
    assert found.warnings == ["password dropped: rot13 is not taken over"]


def test_map_without_a_field_passes_over() -> None:
    user = translated({"login": "anna", "since": "yesterday"}, map={"since": ""}).user
    assert user is not None
    assert user.created_at is UNSET


def test_map_takes_other_fields() -> None:
    user = translated({"login": "anna", "nick": "Ann"}, map={"nick": "username"}).user
    assert user is not None
    assert user.username == "Ann"


def test_every_recipe_fills_fields_that_there_are() -> None:
    known = set(ImportedUser.__struct_fields__) - {"line", "role", "password_hash"}
    for recipe in recipes.recipes():
        assert recipe.fields.keys() <= known, recipe.name
        assert recipe.formats, recipe.name
        assert recipes.find(recipe.name, recipe.formats[0]) is recipe
    assert "django" in recipes.names()


def test_files_are_recognised_by_their_fields() -> None:
    fields = ["id", "password", "is_superuser", "is_staff", "date_joined", "username"]
    found = recipes.recognise(fields, "csv")
    assert found is not None
    assert found.name == "django"
    assert recipes.recognise(fields, "ldif") is None
    assert recipes.recognise(["username", "email", "password"], "csv") is None


def test_a_record_that_is_wrapped_or_about_no_person() -> None:
    user = translated({"person": {"login": "ann"}, "login": "not this one"}).user
    assert user is not None
    assert user.username == "ann"
    assert translated({"invoice": 7}) == Translation()


@pytest.mark.parametrize(
    "bad",
    [
        {"login": "ann", "mails": {"address": "ann@example.com"}},
        {"login": "ann", "mails": ["ann@example.com"]},
        {"login": "ann", "hash": ["rot13"]},
        {"person": ["ann"]},
    ],
)
def test_a_shape_that_is_not_the_expected_one_is_a_problem_and_not_an_absent_value(
    bad: dict[str, Any],
) -> None:
    translation = translated(bad)
    assert {problem.code for problem in translation.problems} == {"invalid"}
    assert translation.user is None


def test_the_first_value_that_is_there() -> None:
    row = Row({"b": "", "c": "found", "d": "later"}, Context(now=NOW))
    assert first_of("a", "b", "c", "d")(row) == "found"
    assert first_of("a", "b")(row) is None
