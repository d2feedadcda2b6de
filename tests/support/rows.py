"""Every row of a database: to see what a request changed, and to put it back."""

from __future__ import annotations

import contextlib
from typing import Any

import asyncpg
import msgspec

from dragoman.store import clocks
from dragoman.store.drivers import sqlite_library
from dragoman.store.schema import metadata

TABLES = {table.name: table for table in metadata.sorted_tables}
"""All of them, in an order in which none refers to a later one."""
KEYS = {name: [column.name for column in table.primary_key] for name, table in TABLES.items()}

Row = dict[str, Any]
Dump = dict[str, dict[tuple[Any, ...], Row]]


class Change(msgspec.Struct, frozen=True):
    """A row that is not what it was; ``before`` is None for a new one, ``after`` for one gone."""

    table: str
    before: Row | None
    after: Row | None

    @property
    def row(self) -> Row:
        """The row as it is, or was."""
        return self.after or self.before or {}

    def __str__(self) -> str:
        if self.before and self.after:
            names = [n for n in self.after if self.after[n] != self.before[n]]
            return f"{self.table} {self._key()}: {', '.join(names)}"
        return f"{self.table} {self._key()} {'is new' if self.after else 'is gone'}"

    def _key(self) -> str:
        return "/".join(str(self.row[name]) for name in KEYS[self.table])


def difference(before: Dump, after: Dump) -> list[Change]:
    """Return every row in which two dumps differ."""
    found: list[Change] = []
    for table in TABLES:
        old, new = before[table], after[table]
        if old != new:
            keys = {key: None for each in (old, new) for key in each}
            found += [
                Change(table, old.get(key), new.get(key))
                for key in keys
                if old.get(key) != new.get(key)
            ]
    return found


class Rows:
    """A connection of its own to a database, behind the application's back."""

    async def fingerprint(self) -> Any:
        """Return something that is equal as long as no row has changed."""
        raise NotImplementedError

    async def dump(self) -> Dump:
        """Return everything but the clocks that nodes note by themselves, whatever is requested."""
        found: Dump = {}
        for name in TABLES:
            rows = await self._fetch(f'SELECT * FROM "{name}"')
            if name == "server_state":
                rows = [row for row in rows if not row["key"].startswith(clocks.PREFIX)]
            found[name] = {tuple(row[key] for key in KEYS[name]): row for row in rows}
        return found

    async def restore(self, changes: list[Change]) -> None:
        """Undo changes."""
        order = {name: at for at, name in enumerate(TABLES)}
        statements: list[tuple[str, list[Any]]] = []
        for change in sorted(changes, key=lambda each: -order[each.table]):
            if change.before is None:
                if change.table == "users":  # the index of what is searched follows the column
                    statements.append(self._update(change.table, change.row, {"search": ""}))
                statements.append(self._delete(change.table, change.row))
        for change in sorted(changes, key=lambda each: order[each.table]):
            if change.before and change.after:
                moved = {n: v for n, v in change.before.items() if v != change.after[n]}
                statements.append(self._update(change.table, change.before, moved))
            elif change.before:
                statements.append(self._insert(change.table, change.before))
        await self.execute(statements)

    async def add(self, table: str, row: Row) -> None:
        """Add a row."""
        await self.execute([self._insert(table, row)])

    async def deactivate_user(self, user_id: int) -> None:
        """Let a user be inactive, and nothing besides."""
        await self.execute([self._update("users", {"id": user_id}, {"active": False})])

    def _where(self, table: str, row: Row, first: int) -> tuple[str, list[Any]]:
        keys = KEYS[table]
        text = " AND ".join(f'"{k}" = {self._mark(first + n)}' for n, k in enumerate(keys))
        return text, [row[key] for key in keys]

    def _delete(self, table: str, row: Row) -> tuple[str, list[Any]]:
        where, values = self._where(table, row, 1)
        return f'DELETE FROM "{table}" WHERE {where}', values

    def _update(self, table: str, row: Row, moved: Row) -> tuple[str, list[Any]]:
        sets = ", ".join(f'"{name}" = {self._mark(n)}' for n, name in enumerate(moved, 1))
        where, values = self._where(table, row, len(moved) + 1)
        return f'UPDATE "{table}" SET {sets} WHERE {where}', [*moved.values(), *values]

    def _insert(self, table: str, row: Row) -> tuple[str, list[Any]]:
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join(self._mark(n) for n in range(1, len(row) + 1))
        return f'INSERT INTO "{table}" ({names}) VALUES ({marks})', [*row.values()]

    def _mark(self, number: int) -> str:
        raise NotImplementedError

    async def _fetch(self, statement: str) -> list[Row]:
        raise NotImplementedError

    async def execute(self, statements: list[tuple[str, list[Any]]]) -> None:
        """Run statements, all or none."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give the connection up."""
        raise NotImplementedError


class SqliteRows(Rows):
    """SQLite counts the commits of others: where there was none, nothing has changed."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite_library.describe_results(sqlite_library.connect(path, timeout=10))

    async def fingerprint(self) -> Any:
        return self._connection.execute("PRAGMA data_version").fetchone()[0]

    async def _fetch(self, statement: str) -> list[Row]:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    async def execute(self, statements: list[tuple[str, list[Any]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for text, values in statements:
                self._connection.execute(text, values)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _mark(self, number: int) -> str:
        return "?"

    async def close(self) -> None:
        self._connection.close()


class PostgresRows(Rows):
    """One statement digests every table: row locks alone move each of its own counters."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        digests = ", ".join(
            f"(SELECT md5(string_agg(t::text, '\\n' ORDER BY t::text)) FROM \"{name}\" t)"
            for name in TABLES
        )
        self._digest = f"SELECT ARRAY[{digests}]"

    async def fingerprint(self) -> Any:
        return await self._connection.fetchval(self._digest)

    async def _fetch(self, statement: str) -> list[Row]:
        return [dict(row) for row in await self._connection.fetch(statement)]

    async def execute(self, statements: list[tuple[str, list[Any]]]) -> None:
        async with self._connection.transaction():
            for text, values in statements:
                await self._connection.execute(text, *values)

    def _mark(self, number: int) -> str:
        return f"${number}"

    async def close(self) -> None:
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await self._connection.close()


async def open_rows(database: str) -> Rows:
    """Connect to a database by its URL."""
    if database.startswith("sqlite:///"):
        return SqliteRows(database.removeprefix("sqlite:///"))
    return PostgresRows(await asyncpg.connect(database))
