"""The layers: what may import what, and which words stay in a dialect's folder."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from dragoman import dialects
from tests.support.openapi import document

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "dragoman"
FILES = sorted(SOURCE.rglob("*.py"))
BELOW = ("rules", "store", "actions", "jobs", "web", "load_shedding.py", "settings.py")
"""What no dialect's word belongs into; ``actions/transfer/recipes`` alone may name products."""

WORDS_ALLOWED = {
    "current_password": "the domain's: a parameter of actions.sign_in.change_password",
    "expires_at": "the domain's: a column",
    "invitation_id": "the domain's: a column",
    "refresh_token": "the domain's: RFC 6749",
    "tenant_name": "the domain's: a field of User",
    "user_count": "the domain's: a field of a listed tenant",
}
"""Words of one contract's document that are the directory's own too."""


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


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "no docstring"
    assert docstring.splitlines()[0].endswith((".", ":")), docstring.splitlines()[0]


@cache
def words_of_documents() -> dict[str, set[str]]:
    """Return what every contract's document names: fields, parameters and enumerated values."""
    return {name: set(_words(document(name))) for name in dialects.NAMES}


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            yield from _words(each)
    if not isinstance(node, dict):
        return
    for key, value in cast("dict[str, Any]", node).items():
        if key == "properties":
            yield from value
        elif key == "enum":
            yield from (each for each in value if isinstance(each, str))
        elif key == "parameters":
            yield from (each["name"] for each in value if "name" in each)
        yield from _words(value)


def dialect_words(name: str) -> set[str]:
    """Return the words that only this contract has, of a form that plain English does not have.

    Its name and its mount, and of its document ``camelCase``, ``snake_case`` and ``CAPITALS_``.
    """
    documents = words_of_documents()
    others = set[str]().union(*(documents[other] for other in documents if other != name))
    coined = re.compile(r"[A-Za-z]\w*(_|[a-z][A-Z])\w*|subscriber|suspended")
    own = {word for word in documents[name] - others if coined.fullmatch(word)}
    # "accounts" is a word of English too: only its mount and its name as a string are its own.
    named = {f'"{name}"', f"{name} contract"} if name == "accounts" else {name}
    return named | {f"/{name}/"} | (own - WORDS_ALLOWED.keys())


EXAMPLES = {
    "accounts": {"/accounts/"},
    "binacle": {"binacle", "tokenType", "newPassword"},
    "vsay": {"vsay", "machine_access", "machine_ids", "VALIDATION_ERROR"},
    "wekan": {"wekan", "loginDisabled", "isAdmin"},
    "wiwebb": {"wiwebb", "tenant_owner", "is_active", "new_password1"},
}
"""Some that must be among them: whoever breaks the search sees it here."""


@pytest.mark.parametrize("name", dialects.NAMES)
def test_a_dialects_words_stay_in_its_folder(name: str) -> None:
    words = {*dialect_words(name), *(("disableLogin", "enableLogin") if name == "wekan" else ())}
    assert EXAMPLES.get(name, set()) <= words | {"VALIDATION_ERROR"}
    found: set[tuple[str, str]] = set()
    for path in FILES:
        place = name_of(path)
        if place.split("/")[0] not in BELOW or place.startswith("actions/transfer/recipes/"):
            continue
        text = path.read_text()
        for word in words:
            edges = r"\b" if word[0].isalpha() else ""
            spelling = re.IGNORECASE if word == name else re.NOFLAG  # WiWebb, but no NOT_FOUND
            if re.search(f"{edges}{re.escape(word)}{edges}", text, spelling):
                found.add((place, word))
    assert not found


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


@pytest.mark.parametrize("layer", ["rules", "actions", "jobs", "dialects"])
def test_clocks_are_the_stores(layer: str) -> None:
    """A change has one moment, ``tx.now``; durations are measured by monotonic clocks."""
    asked = re.compile(r"\btime\.time\(|datetime\.now\(|datetime\.utcnow\(|time_ns\(")
    there = {name_of(f) for f in (SOURCE / layer).rglob("*.py") if asked.search(f.read_text())}
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


def test_tests_import_only_their_own_package_and_support() -> None:
    """What two packages need is in ``tests/support``; a dialect's options are loaded by its name."""
    imported = re.compile(r"^\s*(?:from|import) tests\.(\w+)", re.MULTILINE)
    found = {
        f"{path.relative_to(ROOT)}: {package}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for package in imported.findall(path.read_text())
        if package not in {"support", path.relative_to(ROOT / "tests").parts[0]}
    }
    assert not found
