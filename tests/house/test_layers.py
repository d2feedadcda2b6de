"""The floors of the house: what may know what, and how large a room may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import dialects

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "dragoman"
FILES = sorted(SOURCE.rglob("*.py"))
CEILING = 400
ALLOWED = {
    "store/migrations/versions/0001_first_schema.py": "one statement for every table, told once",
}
"""Files above the ceiling, and why."""

DIALECT_WORDS = ("tenant_owner", "disableLogin", "machine_access", "tokenType")


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode:
        pytest.skip("no git checkout: an unpacked archive")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_imports_go_one_way_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


def test_no_file_is_over_the_ceiling_without_a_reason() -> None:
    long = {name_of(f) for f in FILES if len(f.read_text().splitlines()) > CEILING}
    assert long <= ALLOWED.keys(), long - ALLOWED.keys()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    told = ast.get_docstring(ast.parse(path.read_text()))
    assert told, "no docstring"
    assert told.splitlines()[0].endswith((".", ":")), told.splitlines()[0]


@pytest.mark.parametrize("word", DIALECT_WORDS)
def test_a_dialects_words_stay_in_its_folder(word: str) -> None:
    there = {name_of(f) for f in FILES if word in f.read_text()}
    assert all(name.startswith("dialects/") for name in there), there


def test_the_names_of_the_dialects_are_their_folders() -> None:
    folders = {f.parent.name for f in (SOURCE / "dialects").glob("*/routes.py")}
    assert set(dialects.NAMES) == folders
    assert sorted(dialects.NAMES) == list(dialects.NAMES)


def test_only_filters_compares_tenants_of_users() -> None:
    asked = re.compile(r"users\.c\.tenant_id\s*(==|!=|\.in_)")
    allowed = {
        "store/user_lists/filters.py": "the one place",
        "store/last_admins.py": "who else owns this very tenant",
        "store/tenants.py": "does anybody live there",
    }
    there = {name_of(f) for f in FILES if asked.search(f.read_text())}
    assert there <= allowed.keys(), there - allowed.keys()
    assert "store/user_lists/filters.py" in there


@pytest.mark.parametrize("floor", ["rules", "actions", "jobs", "dialects"])
def test_clocks_are_the_stores(floor: str) -> None:
    """A change has one moment, ``tx.now``; durations are measured by monotonic clocks."""
    asked = re.compile(r"\btime\.time\(|datetime\.now\(|datetime\.utcnow\(|time_ns\(")
    there = {name_of(f) for f in (SOURCE / floor).rglob("*.py") if asked.search(f.read_text())}
    assert there <= {"jobs/mail/smtp.py", "jobs/mail/messages.py"}, there


def test_nothing_names_a_registry_or_a_machine() -> None:
    said = re.compile(
        rb"pypi\.org|pythonhosted|npmjs|registry\.\w+\.|(?<!emit-)index-url|/root/|/home/\w"
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if path.is_file() and path != Path(__file__) and said.search(path.read_bytes())
    ]
    assert not found


def test_decisions_are_short_and_say_why() -> None:
    for record in (ROOT / "docs" / "decisions").glob("*.md"):
        text = record.read_text()
        assert len(text.splitlines()) <= 60, record.name
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, f"{record.name} has no {part}"
