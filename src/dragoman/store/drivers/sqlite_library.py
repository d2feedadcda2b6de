"""Chooses the library that SQLite is used through; every other module uses it from here.

``docs/decisions/0041-sqlite-library.md`` records why, and the measurements.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from dragoman.rules.errors import UnsupportedDatabase

MIN_VERSION = (3, 51, 3)
"""Earlier versions may corrupt the database file when the write-ahead log is reset."""
CANDIDATES = {"apsw": "dragoman.store.drivers.apsw_dbapi", "sqlite3": "sqlite3"}
"""The DB-API modules of the libraries, in order of preference; the first good one is used."""
REMEDY = "install apsw, which brings its own SQLite ('pip install apsw'), or use PostgreSQL"
_SEARCH_INDEX = (
    "CREATE VIRTUAL TABLE probe USING fts5("
    "search, content='', contentless_delete=1, tokenize='trigram case_sensitive 1')"
)
"""What the first migration needs of SQLite that can be left out when it is compiled."""

# SQLite's primary result codes: https://sqlite.org/rescode.html
_ERROR, _BUSY, _LOCKED, _CONSTRAINT = 1, 5, 6, 19
_READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL = 8, 10, 13, 14, 15
_UNAVAILABLE = frozenset({_BUSY, _LOCKED, _READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL})


class _NoLibraryError(Exception):
    """What ``Error`` is if there is no library at all; never raised."""


def _choose() -> tuple[str, Any]:
    found: dict[str, Any] = {}
    for name, module_name in CANDIDATES.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:  # not installed, or for another system
            continue
        if module.sqlite_version_info >= MIN_VERSION:
            return name, module
        found[name] = module
    return next(iter(found.items()), ("", None))


NAME, dbapi = _choose()
"""The chosen library: its name, and its DB-API module for SQLAlchemy."""
VERSION: str = dbapi.sqlite_version if dbapi else ""
"""The version of SQLite."""
Error: type[Exception] = dbapi.Error if dbapi else _NoLibraryError
"""The ancestor of every error of the library."""


def require_supported() -> None:
    """Raise UnsupportedDatabase if the best SQLite of this installation cannot be used."""
    if dbapi is None:
        raise UnsupportedDatabase("there is no SQLite in this installation of Python", REMEDY)
    if dbapi.sqlite_version_info < MIN_VERSION:
        needed = ".".join(map(str, MIN_VERSION))
        raise UnsupportedDatabase(
            f"SQLite {VERSION}, which {NAME} uses, is too old: Dragoman needs {needed} or later",
            REMEDY,
        )
    connection = connect(":memory:")
    try:
        connection.execute(_SEARCH_INDEX)
    except Error as error:
        raise UnsupportedDatabase(
            f"SQLite {VERSION}, which {NAME} uses, lacks full-text search ({error})", REMEDY
        ) from None
    finally:
        connection.close()


def connect(database: str | Path, *, uri: bool = False, timeout: float = 5.0) -> Any:
    """Open a connection in autocommit mode, for one thread at a time; raises ``Error``.

    Args:
        database: the path of the file, or its URI.
        uri: whether it is a URI.
        timeout: how long a statement waits for the lock of another connection (seconds).
    """
    if NAME == "apsw":
        return dbapi.connect(database, uri=uri, timeout=timeout)
    connection = dbapi.connect(
        database, uri=uri, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    if hasattr(connection, "setconfig"):  # since Python 3.12; see apsw_dbapi.Connection
        connection.setconfig(dbapi.SQLITE_DBCONFIG_ENABLE_QPSG, True)
    return connection


def describe_results(connection: Any) -> Any:
    """Return the connection, whose cursors now describe their columns, as SQLAlchemy needs it."""
    if NAME == "apsw":
        connection.cursor_factory = dbapi.DescribingCursor
    return connection


def is_unavailable(error: BaseException) -> bool:
    """Return whether SQLite could not serve: locked, full, broken or unreachable."""
    return _code(error) in _UNAVAILABLE


def is_locked(error: BaseException) -> bool:
    """Return whether another connection holds the lock."""
    return _code(error) in {_BUSY, _LOCKED}


def is_constraint(error: BaseException) -> bool:
    """Return whether a row violates a constraint."""
    return _code(error) == _CONSTRAINT


def is_sql_error(error: BaseException) -> bool:
    """Return whether SQLite refused the statement, for example because a table is missing."""
    return _code(error) == _ERROR


def _code(error: BaseException) -> int:
    """Return the primary result code of an error of either library, or 0."""
    if not isinstance(error, Error):
        return 0
    found: int = getattr(error, "result", 0) or getattr(error, "sqlite_errorcode", 0)
    return found & 0xFF
