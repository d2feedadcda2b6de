"""Which SQLite is used: apsw's, else a new one of the standard library, else none, in one sentence."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dragoman.rules.errors import Unavailable, UnsupportedDatabase
from dragoman.store.drivers import sqlite_library
from dragoman.store.drivers.sqlite import translate_error

# Runs in a process of its own, because the library is chosen at import.
WITHOUT_APSW = """
import sqlite3, sys
sys.modules["apsw"] = None
sqlite3.sqlite_version_info, sqlite3.sqlite_version = {version!r}, "its version"
from dragoman.rules.errors import UnsupportedDatabase
from dragoman.store.drivers import sqlite_library as library
assert library.NAME == "sqlite3" and library.dbapi is sqlite3
try:
    library.require_supported()
except UnsupportedDatabase as error:
    print(error.found)
"""
SHARED_API = """
import sys
{without}
from dragoman.store.drivers import sqlite_library as library
connection = library.describe_results(library.connect(sys.argv[1]))
assert not connection.in_transaction
connection.execute("CREATE TABLE t (a PRIMARY KEY, b)")
connection.execute("BEGIN")
assert connection.in_transaction
connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b\\0"), (3, None)])
connection.rollback()
assert not connection.in_transaction
connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b\\0"), (3, b"c")])
assert connection.execute("UPDATE t SET b = b WHERE a > ?", [1]).rowcount == 2
cursor = connection.cursor()
cursor.execute("SELECT a, b FROM t WHERE a > 9")
assert [column[0] for column in cursor.description] == ["a", "b"] and cursor.fetchall() == []
cursor.execute("SELECT a FROM t ORDER BY a")
assert cursor.fetchmany(2) == [(1,), (2,)] and cursor.fetchone() == (3,)
assert cursor.fetchone() is None
cursor.execute("DELETE FROM t WHERE a = 3")
assert cursor.description is None and cursor.rowcount == 1
for statement, name in (
    ("INSERT INTO t VALUES (1, 1)", "is_constraint"),
    ("SELECT * FROM missing", "is_sql_error"),
):
    try:
        connection.execute(statement)
    except library.Error as error:
        assert getattr(library, name)(error) and not library.is_unavailable(error), error
    else:
        raise SystemExit(statement)
other = library.connect(sys.argv[1], timeout=0)
connection.execute("BEGIN IMMEDIATE")
try:
    other.execute("BEGIN IMMEDIATE")
except library.Error as error:
    assert library.is_locked(error) and library.is_unavailable(error), error
else:
    raise SystemExit("not locked")
connection.commit()
copy = library.connect(":memory:")
connection.backup(copy)
assert copy.execute("SELECT * FROM t").fetchall() == [(1, "a"), (2, "b\\0")]
for value, refused in ((2**63, OverflowError), ("\\ud800", UnicodeEncodeError)):
    try:
        connection.execute("SELECT ?", [value])
    except refused:
        pass
    else:
        raise SystemExit(repr(value))
try:
    library.connect("file:/nowhere/x.db?mode=rw", uri=True).execute("SELECT 1")
except library.Error as error:
    assert library.is_unavailable(error), error
connection.close()
print(library.NAME)
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_apsw_comes_first_and_is_good_enough() -> None:
    assert sqlite_library.NAME == "apsw"
    sqlite_library.require_supported()


def test_without_apsw_an_old_sqlite_is_refused() -> None:
    found = run(WITHOUT_APSW.format(version=(3, 51, 2)))
    assert found.startswith("SQLite its version, which sqlite3 uses, is too old: ")
    assert "3.51.3" in found


def test_without_apsw_a_sqlite_without_trigrams_is_refused(tmp_path: Path) -> None:
    """The system's own may be new by its number, and lack what the migrations need."""
    code = WITHOUT_APSW.format(version=(3, 99, 0)).replace(
        "try:", "library._SEARCH_INDEX = 'CREATE VIRTUAL TABLE t USING missing(x)'\ntry:"
    )
    assert "lacks full-text search (no such module: missing)" in run(code)


def test_there_may_be_no_library_at_all() -> None:
    code = (
        "import sys; sys.modules['apsw'] = sys.modules['sqlite3'] = None\n"
        "from dragoman.store.drivers import sqlite_library as library\n"
        "try:\n    library.require_supported()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    found = run(code)
    assert found.startswith("UnsupportedDatabase there is no SQLite")
    assert "install apsw" in found


@pytest.mark.parametrize("without", ["", "sys.modules['apsw'] = None"], ids=["apsw", "sqlite3"])
def test_both_libraries_have_one_interface(without: str, tmp_path: Path) -> None:
    name = run(SHARED_API.format(without=without), str(tmp_path / "x.db"))
    assert name.strip() == ("sqlite3" if without else "apsw")


def test_only_what_passes_is_unavailable() -> None:
    for error in (ValueError("database is locked"), UnsupportedDatabase("a", "b")):
        assert translate_error(error) is error
    with pytest.raises(sqlite_library.Error) as caught:
        sqlite_library.connect("/nowhere/x.db").execute("SELECT 1")
    assert isinstance(translate_error(caught.value), Unavailable)


def test_a_statement_is_not_compiled_for_each_value(tmp_path: Path) -> None:
    """SQLite 3.54 does so with joins, which then take twice as long, unless it is told not to."""
    connection = sqlite_library.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (key BLOB PRIMARY KEY, id INTEGER) WITHOUT ROWID")
    connection.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT)")
    compiled: list[object] = []
    connection.authorizer = lambda *names: compiled.append(names) or 0  # asked when compiling
    statement = "SELECT u.* FROM t JOIN u ON u.id = t.id WHERE t.key = ?"
    connection.execute(statement, [b"first"]).fetchall()
    assert compiled
    compiled.clear()
    for number in range(5):
        connection.execute(statement, [bytes([number])]).fetchall()
    assert compiled == []


def test_reads_of_other_threads_go_on(tmp_path: Path) -> None:
    """The interpreter is free while SQLite works."""
    connection = sqlite_library.connect(tmp_path / "x.db")
    done = threading.Event()

    def count() -> None:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"
            " SELECT count(*) FROM n"
        ).fetchall()
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
    thread.join()
    assert turns > 1
