"""Records of the samples with something wrong in them: a problem of the row, never an exception."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.actions.transfer import recipes
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.readers.ldif import Attributes
from dragoman.actions.transfer.recipes.context import read_context
from dragoman.actions.transfer.recipes.recipe import Context, RecipeTranslator
from dragoman.actions.transfer.records import (
    ROW_CODES,
    FileOptions,
    ImportedUser,
    ImportOptions,
    Record,
)
from tests.actions.transfer.recipes.test_context import CONFIG, SAMPLES

FILES = {
    "django-dumpdata.json": "django",
    "wekan-users.ndjson": "wekan",
    "keycloak-realm.json": "keycloak",
    "auth0-users.ndjson": "auth0",
    "firebase-users.json": "firebase",
    "kratos-identities.json": "kratos",
    "zitadel-import.json": "zitadel",
    "better-auth.json": "better-auth",
    "openldap.ldif": "ldif",
    "django-auth_user.csv": "django",
    "clerk-users.csv": "clerk",
    "supabase-auth-users.csv": "supabase",
    "wordpress-users.csv": "wordpress",
    "laravel-users.csv": "laravel",
    "drupal-users.csv": "drupal",
    "aspnet-AspNetUsers.csv": "aspnet",
    "binacle-1.3-users.csv": "binacle",
    "gitea-user.csv": "gitea",
    "nextcloud-oc_users.csv": "nextcloud",
    "pocketbase-users.csv": "pocketbase",
    "odoo-res_users.csv": "odoo",
    "okta-people.csv": "okta",
}
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            *("", " ", "0", "-1", "1e400", "²", "true", "2024-13-45", "9" * 20, "{}", "[", "$2b$"),
            *("x", "00000101000000Z", "{SSHA}", "{CRYPT}", "$argon2id$", "a:b", "pbkdf2$", "1|"),
        ]
    ),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.lists(TEXTS, max_size=2),
    st.dictionaries(st.sampled_from(["$date", "$oid", "value", "a"]), TEXTS, max_size=2),
    st.just([[]]),
    st.just([{}]),
    st.just({"$date": {"$numberLong": []}}),
)


@cache
def sample(file: str) -> tuple[RecipeTranslator, RecipeTranslator, list[dict[str, Any]]]:
    """Return the recipe of a file, in its two ways to treat bad hashes, and the file's records."""
    options = FileOptions()
    if file == "firebase-users.json":
        options = FileOptions(hash_config=str(CONFIG))
    if file == "auth0-users.ndjson":
        options = FileOptions(passwords=str(SAMPLES / "auth0-passwords.ndjson"))
    paths = recipes.list_paths(FILES[file])
    source = open_records(SAMPLES / file, FileOptions(), list_paths=paths)
    recipe = recipes.find(FILES[file], source.format)
    assert recipe is not None
    context = read_context(recipe, SAMPLES / file, options, now=1_764_000_000_000_000)
    strict = RecipeTranslator(recipe, ImportOptions(), context)
    lenient = RecipeTranslator(recipe, ImportOptions(bad_hashes="drop", hash_plain=True), context)
    return strict, lenient, [record.values for record in source]


@st.composite
def mutated(draw: st.DrawFn, file: str) -> dict[str, Any]:
    """Return a record of which one or two values, at any depth, are others or absent."""
    values = copy.deepcopy(draw(st.sampled_from(sample(file)[2])))
    is_table = file.endswith(".csv")
    for _ in range(draw(st.integers(1, 2))):
        holder: Any = values
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = holder[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                holder = inner
                continue
            if isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
                del holder[key]
            elif isinstance(values, Attributes):
                new = draw(st.lists(TEXTS, max_size=2))
                holder[key] = new if holder is values else "".join(new)
            else:
                holder[key] = copy.deepcopy(draw(TEXTS if is_table else VALUES))
            break
    return values


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_bad_record_is_a_problem_of_the_row(file: str, data: st.DataObject) -> None:
    values = data.draw(mutated(file))
    for translate in sample(file)[:2]:
        translation = translate(Record(3, 7, copy.deepcopy(values), b"", 0))
        assert {problem.code for problem in translation.problems} <= ROW_CODES
        assert all(problem.line == 7 and problem.message for problem in translation.problems)
        assert not (translation.problems and translation.user)
        if translation.user is not None:
            assert isinstance(translation.user, ImportedUser)


@pytest.mark.parametrize("file", [name for name in FILES if not name.endswith((".csv", ".ldif"))])
def test_every_value_of_a_document_may_be_of_another_type(file: str) -> None:
    strict, _, records = sample(file)
    for values in records[:2]:
        for wrong in (["x"], {"x": "y"}, 5, "x", None):
            for changed in _each_replaced(values, wrong):
                translation = strict(Record(3, 7, changed, b"", 0))
                assert {problem.code for problem in translation.problems} <= ROW_CODES


def _each_replaced(values: dict[str, Any], wrong: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def walk(holder: Any, path: tuple[Any, ...]) -> None:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            changed = copy.deepcopy(values)
            target: Any = changed
            for step in path:
                target = target[step]
            target[key] = wrong
            found.append(changed)
            if isinstance(holder[key], dict | list):
                walk(holder[key], (*path, key))

    walk(values, ())
    return found


def test_a_hash_that_needs_parameters_is_refused_without_them() -> None:
    recipe = recipes.find("firebase", "json")
    assert recipe is not None
    values = {"email": "ann@example.com", "passwordHash": "AAAA", "salt": "AAAA"}
    found = RecipeTranslator(recipe, ImportOptions(), Context(now=1))(Record(1, 1, values, b"", 0))
    assert [problem.code for problem in found.problems] == ["unreadable_hash"]
    assert "--hash-config" in found.problems[0].message
