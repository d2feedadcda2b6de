"""The SQL keeps to its rules: texts are compared by canonical keys, never folded by a database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dragoman.store import schema

STORE = Path(schema.__file__).parent
FILES = sorted(path for path in STORE.rglob("*.py") if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(STORE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_database_folds_case(path: Path):
    """SQLite's ``lower()`` knows ASCII only, and so does PostgreSQL's under the collation "C"."""
    text = path.read_text()
    assert not re.search(r"func\.(lower|upper)\b|\b(LOWER|UPPER|ILIKE)\s*\(|\.ilike\(|NOCASE", text)


def test_one_module_chooses_the_library_of_sqlite():
    """Tests may use the standard library's to look at a file from outside, but no other."""
    source = STORE.parent
    tests = Path(__file__).parents[1]
    libraries = re.compile(r"^\s*(?:import|from) (?:apsw|pysqlite3|sqlite3)\b", re.MULTILINE)
    named = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if libraries.search(path.read_text())
    }
    assert named == {"store/drivers/apsw_dbapi.py"}, "sqlite_library.py imports by name"
    bundled = re.compile(libraries.pattern.replace("|sqlite3", ""), re.MULTILINE)
    assert [path for path in tests.rglob("*.py") if bundled.search(path.read_text())] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_statements_are_made_once_and_not_of_what_came_in(path: Path):
    """A text with braces that goes to ``sa.text`` or ``execute`` would be an injection's door."""
    text = path.read_text()
    found = re.findall(r"(?:sa\.text|\.execute|\.fetch\w*)\(\s*(?:rb?|b)?f[\"'].*", text)
    numbers = (
        "PRAGMA busy_timeout",
        "PRAGMA cache_size",
        "PRAGMA mmap_size",
    )  # of our own; a pragma takes no parameter
    assert [line for line in found if not any(name in line for name in numbers)] == []


def test_every_table_that_names_a_person_is_emptied_when_it_is_erased():
    """A new table with a ``user_id`` has to be thought of in ``actions.users.delete``."""
    tables = {
        table.name
        for table in schema.metadata.sorted_tables
        if any(
            key.column.table is schema.users for column in table.c for key in column.foreign_keys
        )
    }
    emptied = {
        "access", "addresses", "grants", "group_members", "names", "one_time", "outbox", "tokens",
    }  # fmt: skip
    kept = {"invitations"}  # the inviter stays a number: a tombstone
    assert tables == emptied | kept
