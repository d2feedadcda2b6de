"""Every record of the samples, as far as it can be judged alone: who, what, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from dragoman.actions.transfer import translate
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    Record,
    RecordSource,
    Translation,
)
from dragoman.rules.model import Role

SAMPLES = Path(__file__).parent / "samples"
NOW = 1_764_000_000_000_000  # 2025-11-24

FILES = {
    "django-auth_user.csv": FileOptions(recipe="django"),
    "clerk-users.csv": FileOptions(recipe="clerk"),
    "supabase-auth-users.csv": FileOptions(recipe="supabase"),
    "wordpress-users.csv": FileOptions(recipe="wordpress"),
    "laravel-users.csv": FileOptions(recipe="laravel"),
    "drupal-users.csv": FileOptions(recipe="drupal"),
    "aspnet-AspNetUsers.csv": FileOptions(recipe="aspnet"),
    "binacle-1.3-users.csv": FileOptions(recipe="binacle"),
    "gitea-user.csv": FileOptions(recipe="gitea"),
    "nextcloud-oc_users.csv": FileOptions(recipe="nextcloud"),
    "pocketbase-users.csv": FileOptions(recipe="pocketbase"),
    "odoo-res_users.csv": FileOptions(recipe="odoo"),
    "okta-people.csv": FileOptions(recipe="okta"),
    "messy.csv": FileOptions(),
    "messy-semicolon-latin1.csv": FileOptions(encoding="cp1252"),
    "messy.ndjson": FileOptions(),
    "invalid-utf8.csv": FileOptions(),
}

ERRORS = {
    ("django-auth_user.csv", 9): ("first_name", "too_long"),
    ("django-auth_user.csv", 10): ("email", "invalid"),
    ("clerk-users.csv", 7): ("password_hash", "refused_hash"),
    ("clerk-users.csv", 10): ("username", "blank"),
    ("wordpress-users.csv", 5): ("password_hash", "refused_hash"),
    ("drupal-users.csv", 6): ("password_hash", "refused_hash"),
    ("odoo-res_users.csv", 10): ("password_hash", "clear_password"),
    ("messy.csv", 6): ("role", "unknown_role"),
    ("messy.csv", 7): ("role", "forbidden_role"),
    ("messy.csv", 8): ("password_hash", "unreadable_hash"),
    ("messy.csv", 9): ("first_name", "too_long"),
    ("messy.csv", 11): ("first_name", "unsafe"),
    ("messy.csv", 12): ("", "columns"),
    ("messy.csv", 13): ("", "columns"),
    ("messy.csv", 17): ("username", "blank"),
    ("messy.csv", 19): ("active", "invalid"),
    ("messy.csv", 21): ("username", "unsafe"),
    ("messy.csv", 22): ("password_hash", "clear_password"),
    ("messy.csv", 23): ("", "syntax"),
    ("messy-semicolon-latin1.csv", 4): ("active", "invalid"),
    ("messy.ndjson", 3): ("", "columns"),
    ("messy.ndjson", 4): ("", "syntax"),
    ("messy.ndjson", 5): ("", "syntax"),
    ("messy.ndjson", 6): ("", "syntax"),
    ("messy.ndjson", 7): ("", "syntax"),
    ("messy.ndjson", 8): ("", "syntax"),
    ("messy.ndjson", 9): ("", "syntax"),
    ("messy.ndjson", 10): ("username", "invalid"),
    ("messy.ndjson", 12): ("created_at", "invalid"),
    ("messy.ndjson", 13): ("bio", "too_long"),
    ("messy.ndjson", 14): ("password", "clear_password"),
    ("invalid-utf8.csv", 2): ("", "encoding"),
}
"""What is wrong with each refused record, alone."""
OTHERS_CLAIM = {("messy.csv", 4), ("messy.csv", 5), ("okta-people.csv", 10)}
"""Records that are fine alone: an earlier one has their name, or is the same."""


def expected() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (SAMPLES / "expected.ndjson").read_bytes().splitlines():
        row = msgspec.json.decode(line, type=dict[str, Any])
        if not row.get("why", "").startswith("empty line"):
            found.setdefault(row["file"], []).append(row)
    return found


EXPECTED = expected()


def translations(
    name: str, options: FileOptions, **chosen: Any
) -> Iterator[tuple[Record, Translation]]:
    source = open_records(SAMPLES / name, options)
    choice = choose(source, options, **chosen)
    return ((record, choice.translate(record)) for record in source)


def choose(source: RecordSource, options: FileOptions, **chosen: Any) -> translate.Choice:
    return translate.choose(
        source,
        options,
        ImportOptions(**chosen),
        aliases={},
        context=lambda _: Context(now=NOW),
    )


@pytest.mark.parametrize("name", FILES)
def test_every_record_of_a_sample(name: str) -> None:
    found = list(translations(name, FILES[name]))
    assert len(found) == len(EXPECTED[name])
    for (record, translation), row in zip(found, EXPECTED[name], strict=True):
        where = (name, row["record"])
        assert record.line == row.get("line", record.line), where
        problems = [(problem.field, problem.code) for problem in translation.problems]
        assert problems == ([ERRORS[where]] if where in ERRORS else []), where
        assert bool(translation.skipped) == (row["result"] == "skip" and where not in OTHERS_CLAIM)
        if row["result"] == "error":
            assert where in ERRORS or where in OTHERS_CLAIM, where
            assert all(problem.line == record.line for problem in translation.problems), where
        if row["result"] == "create":
            check_user(translation, row)


def check_user(translation: Translation, row: dict[str, Any]) -> None:
    user = translation.user
    assert user is not None, row
    username = user.email if user.username is UNSET else user.username
    assert username == row["username"], row
    fields = ["email", "display_name", "verified", "active"]
    if row["file"] != "messy.ndjson":  # its lines do not say the names that are expected there
        fields += ["first_name", "last_name"]
    for field in fields:
        value = getattr(user, field)
        default = {"verified": False, "active": True}.get(field, "")
        if row.get(field) is not None:
            assert (default if value is UNSET else value) == row[field], (field, row)
    if role := row.get("role"):
        assert (Role.MEMBER if user.role is UNSET else user.role) == Role[role.upper()], row
    if row.get("hash"):
        assert isinstance(user.password_hash, str), row
        assert translation.hash_scheme, row
    else:
        assert user.password_hash is UNSET, row
        assert not translation.hash_scheme, row
    assert user.created_at is UNSET or user.created_at < NOW, row


@pytest.mark.parametrize(
    ("name", "message"),
    [("no-header.csv", "no column is known"), ("empty.csv", "the file is empty")],
)
def test_whole_files_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(FileProblem, match=message) as caught:
        list(translations(name, FileOptions()))
    assert "jansen" not in str(caught.value).lower()


def test_products_are_recognised_by_their_columns() -> None:
    for name, options in FILES.items():
        source = open_records(SAMPLES / name, FileOptions(encoding=options.encoding))
        choice = choose(source, FileOptions())
        wanted = "" if options.recipe == "odoo" else options.recipe
        assert choice.recipe == wanted, name
        assert bool(choice.notes and "recognised as a file of" in choice.notes[0]) == bool(wanted)
