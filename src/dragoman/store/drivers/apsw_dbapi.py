"""DB-API 2.0 over apsw: as much of it as the driver, Alembic and the tests use.

Connections are always in autocommit mode; transactions begin with ``BEGIN``. Errors are apsw's own,
which ``sqlite_library`` tells apart by SQLite's result code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

apilevel = "2.0"
threadsafety = 3
paramstyle = "qmark"
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))
Binary = memoryview

Error = DatabaseError = apsw.Error
OperationalError = apsw.SQLError
IntegrityError = apsw.ConstraintError
InterfaceError = ProgrammingError = apsw.MisuseError
InternalError = apsw.InternalError
DataError = apsw.TooBigError
NotSupportedError = apsw.NotFoundError
Warning = apsw.Error  # noqa: A001 - the name that DB-API has


class _Result(apsw.Cursor):
    """What ``Connection.execute`` returns: apsw's cursor, and the number of changed rows."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the last INSERT, UPDATE or DELETE of the connection changed."""
        return self.connection.changes()


class DescribingCursor(_Result):
    """A cursor for SQLAlchemy: it knows its columns, which apsw forgets once all rows are read."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__(connection)
        self.columns: tuple[Any, ...] = ()
        self.exec_trace = _note_columns  # a method of its own would keep the cursor alive

    @property
    def description(self) -> tuple[Any, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The columns of the last statement, or None if it returns no rows."""
        return self.columns or None

    @property
    def lastrowid(self) -> int:
        """The rowid of the row that the connection has inserted last."""
        return self.connection.last_insert_rowid()

    def fetchmany(self, size: int = arraysize) -> list[Any]:
        """Return the next rows, at most ``size``."""
        rows: list[Any] = []
        while len(rows) < size and (row := self.fetchone()) is not None:
            rows.append(row)
        return rows


def _note_columns(cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
    assert isinstance(cursor, DescribingCursor)
    cursor.columns = tuple((column[0], *[None] * 6) for column in cursor.get_description())
    return True


class Connection(apsw.Connection):
    """A connection; statements that no other part needs to describe run in apsw alone."""

    def __init__(self, database: str, flags: int) -> None:
        super().__init__(database, flags)
        self.cursor_factory = _Result
        # Without this, SQLite 3.54 compiles many joins again each time that a parameter is bound.
        self.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)

    def commit(self) -> None:
        """Commit the transaction, if there is one."""
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self, force: bool = True) -> None:
        """Close the connection, and the cursors that are open."""
        super().close(force)

    def backup(self, target: apsw.Connection) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Copy this database to another connection."""
        with apsw.Connection.backup(target, "main", self, "main") as copy:
            copy.step(-1)

    def set_trace_callback(self, callback: Callable[[str], object]) -> None:
        """Pass the text of each statement to a function before it runs."""
        self.exec_trace = lambda _cursor, sql, _bindings: (callback(sql), True)[1]

    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Define a scalar function of SQL; the parameters are those of ``sqlite3``.

        Args:
            name: its name.
            narg: the number of its arguments.
            func: the function.
            deterministic: whether it returns the same for the same arguments.
        """
        self.create_scalar_function(name, func, narg, deterministic=deterministic)


def connect(database: Any, *, uri: bool = False, timeout: float = 5.0) -> Connection:
    """Open a connection; raises ``Error``.

    Args:
        database: the path of the file, or its URI.
        uri: whether it is a URI.
        timeout: how long a statement waits for the lock of another connection (seconds).
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = Connection(str(database), flags | (apsw.SQLITE_OPEN_URI if uri else 0))
    connection.set_busy_timeout(int(timeout * 1000))
    return connection
