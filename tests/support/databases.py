"""Databases for tests: a template is migrated once, every test works on a copy of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec

from dragoman import app, dialects
from dragoman.settings import Rate, Settings, all_parsers, replace
from dragoman.store.drivers import sqlite_library
from dragoman.store.schema import metadata
from tests.support import hashes, world
from tests.support.postgresql import PostgreSQL, url_for_database

BACKENDS = ("sqlite", "postgresql")
SECRET_KEY = bytes(range(32))
ADMIN_PASSWORD = "violet-Kettle-42"
"""Everybody's in these databases; none may hold it."""
SEARCH_EVERY = 10
"""Each so-many-th database on PostgreSQL is searched for it, and on SQLite every one."""

Seeder = Callable[[Settings], Coroutine[Any, Any, Any]]


def settings_for(database: str, **changes: Any) -> Settings:
    """Return the settings of tests: as by default, but no limit for strangers and a quiet log."""
    fixed: dict[str, Any] = {
        "database": database,
        "erasures": str(erasures_path(database)),
        "secret_key": SECRET_KEY,
        "admin_password": ADMIN_PASSWORD,
        "anonymous_rate": Rate(0, 1),
        "log_level": "error",
    }
    return replace(Settings(), {**fixed, **changes}, dialects.declared_settings())


def erasures_path(database: str) -> Path:
    """Return the ledger of erasures of a test's database: beside it, or in a temporary folder."""
    if database.startswith("sqlite:///"):
        return Path(database.removeprefix("sqlite:///")).with_name("dragoman.erasures")
    return Path(tempfile.gettempdir()) / f"{urlsplit(database).path.strip('/')}.erasures"


def declared_only(**values: Any) -> dict[str, Any]:
    """Return those settings that exist: a dialect that declares some may have been removed."""
    parsers = all_parsers(dialects.declared_settings())
    return {name: value for name, value in values.items() if name in parsers}


async def _prepare(settings: Settings) -> None:
    await app.migrate_and_bootstrap(settings)


class DatabaseTemplates:
    """The templates of this process and the copies made from them.

    ``empty`` gives a migrated database with its first superadmin, ``inhabited`` one with the
    whole world of ``support/world.py`` in it.
    """

    def __init__(self, folder: Path, server: PostgreSQL) -> None:
        self._folder = folder
        self._server = server
        self._templates: dict[tuple[str, str, int], tuple[str, Any]] = {}
        self._created_databases: list[str] = []
        self._copies = 0
        self._password_leaks: list[str] = []

    @contextlib.contextmanager
    def empty(self, backend: str) -> Generator[str]:
        """Yield the URL of a migrated database that nobody else uses; it is dropped after."""
        template, _ = self._template(backend, "empty", _prepare)
        with self._copy(backend, template) as url:
            yield url

    @contextlib.contextmanager
    def seeded(self, backend: str) -> Generator[tuple[str, world.World]]:
        """Yield the same with the world in it, and who lives there."""
        template, people = self._template(backend, "inhabited", world.build)
        with self._copy(backend, template) as url:
            yield url, people

    @contextlib.contextmanager
    def blank(self, backend: str) -> Generator[str]:
        """Yield the URL of a database without any table."""
        name = _name("blank")
        if backend == "sqlite":
            path = self._folder / name / "dragoman.db"
            path.parent.mkdir()
            try:
                yield f"sqlite:///{path}"
            finally:
                shutil.rmtree(path.parent, ignore_errors=True)
        else:
            asyncio.run(self._execute(f'CREATE DATABASE "{name}"'))
            try:
                yield url_for_database(self._server.url(), name)
            finally:
                erasures_path(url_for_database(self._server.url(), name)).unlink(missing_ok=True)
                asyncio.run(self._drop(name))

    def close(self) -> None:
        """Drop the templates; fail if any database of a test held the password of everybody."""
        for name in self._created_databases:
            asyncio.run(self._drop(name))
        self._created_databases.clear()
        self._templates.clear()
        assert not self._password_leaks, (
            f"passwords were written down: {', '.join(self._password_leaks[:9])}"
        )

    def _template(self, backend: str, variant: str, seed: Seeder) -> tuple[str, Any]:
        """Return the template's place and what filling it returned; fill it the first time."""
        key = (backend, variant, hashes.memory_cost_kib())
        if key not in self._templates:
            name = _name(variant)
            if backend == "sqlite":
                path = self._folder / f"{name}.db"
                made = asyncio.run(seed(settings_for(f"sqlite:///{path}")))
                _checkpoint_wal(path)
                self._templates[key] = (str(path), made)
            else:
                asyncio.run(self._execute(f'CREATE DATABASE "{name}"'))
                self._created_databases.append(name)
                url = url_for_database(self._server.url(), name)
                self._templates[key] = (name, asyncio.run(seed(settings_for(url))))
        return self._templates[key]

    @contextlib.contextmanager
    def _copy(self, backend: str, template: str) -> Generator[str]:
        name = _name("copy")
        if backend == "sqlite":
            path = self._folder / name / "dragoman.db"
            path.parent.mkdir()
            shutil.copyfile(template, path)
            try:
                yield f"sqlite:///{path}"
            finally:
                self._search_files_for_password(path)
                shutil.rmtree(path.parent, ignore_errors=True)
        else:
            # Copying files takes half the time of the default, which writes all pages to the log.
            create = f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'
            asyncio.run(self._execute(create))
            url = url_for_database(self._server.url(), name)
            try:
                yield url
            finally:
                self._copies += 1
                if self._copies % SEARCH_EVERY == 1:
                    asyncio.run(self._search_tables_for_password(url))
                erasures_path(url).unlink(missing_ok=True)
                asyncio.run(self._drop(name))

    def _search_files_for_password(self, path: Path) -> None:
        """Look for the password in a database that a test leaves, and in its log of changes."""
        for file in path.parent.glob(f"{path.name}*"):
            if file.is_file() and ADMIN_PASSWORD.encode() in file.read_bytes():
                self._password_leaks.append(_with_current_test(file.name))

    async def _search_tables_for_password(self, url: str) -> None:
        """Look for it in every row of a database that a test leaves."""
        tables = " UNION ALL ".join(
            f"SELECT '{name}' FROM \"{name}\" t WHERE t::text LIKE '%{ADMIN_PASSWORD}%'"
            for name in metadata.tables
        )
        with contextlib.suppress(asyncpg.PostgresError, OSError):  # a test may have broken it
            connection = await asyncpg.connect(url)
            try:
                rows = await connection.fetch(tables)
            finally:
                await connection.close()
            self._password_leaks += [_with_current_test(row[0]) for row in rows]

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def _with_current_test(place: str) -> str:
    """Return a place and the test that runs now."""
    return f"{place} of {os.environ.get('PYTEST_CURRENT_TEST', 'nobody')}"


def _name(what: str) -> str:
    return f"dragoman_{what}_{secrets.token_hex(5)}"


def _checkpoint_wal(path: Path) -> None:
    """Write the log of changes back into the file, so that the file alone is the database."""
    with contextlib.closing(sqlite_library.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class AuditRow(msgspec.Struct, frozen=True):
    """A row of the audit as a test looks at it."""

    id: int
    actor_kind: str
    actor_id: int
    contract: str
    action: str
    target_kind: str
    target_id: int
    fields: str


async def audit_rows(database: str, after: int = 0) -> list[AuditRow]:
    """Return the audit's rows with an id above ``after``, oldest first."""
    columns = ", ".join(AuditRow.__struct_fields__)
    rows = await query(database, f"SELECT {columns} FROM audit WHERE id > {after:d} ORDER BY id")
    return [AuditRow(*row) for row in rows]


async def query(database: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database itself, behind the application's back."""
    if database.startswith("sqlite:///"):
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(
            sqlite_library.connect(f"file:{path}?mode=ro", uri=True)
        ) as connection:
            return connection.execute(statement).fetchall()
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
