"""Opens the directory for the duration of one command."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from dragoman import app, server_key
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.cli.errors import ERROR, CliError, echo
from dragoman.jobs import bootstrap
from dragoman.rules.actor import Actor
from dragoman.settings import Settings
from dragoman.store import migrate, server_state
from dragoman.web import logs

T = TypeVar("T")

SQLITE_HEADER = b"SQLite format 3\0"


def command_line_actor() -> Actor:
    """Return the actor of all changes made on the command line; the operator is not identified."""
    return system_actor("command line", contract="cli")


def run(work: Callable[[Directory], Awaitable[T]]) -> T:
    """Run ``work`` with the directory that the settings describe and return its result.

    Raises SettingsError, Unavailable, or CliError if the database does not exist, is not a
    Dragoman database or has another schema version than this program.
    """
    return asyncio.run(_run(app.load_settings(), work))


def run_migrated(work: Callable[[Directory], Awaitable[T]]) -> T:
    """Run ``work`` as ``run`` does, on a database that is migrated first if that is necessary.

    No user and no tenant is created. With SQLite, the server key is created beside a new database,
    as the server would do it. Raises SettingsError, Unavailable, or CliError if this is not a
    Dragoman database or a newer program made it.
    """

    async def migrate_and_run(settings: Settings) -> T:
        if await database_version(settings) != migrate.HEAD_REVISION:
            await migrate.upgrade(settings.database, report=lambda line: echo([line]))
        if settings.sqlite_path is not None:
            settings = server_key.with_server_key(settings)
        return await _run(settings, work)

    return asyncio.run(migrate_and_run(app.load_settings()))


def run_without_trace(work: Callable[[Directory], Awaitable[T]]) -> T:
    """Run ``work`` as ``run`` does; if there is no database yet, on an empty one for its duration.

    Raises SettingsError, Unavailable, or CliError if this is not a Dragoman database or has
    another schema version than this program.
    """

    async def run_on_some(settings: Settings) -> T:
        if await database_version(settings):
            return await _run(settings, work)
        with tempfile.TemporaryDirectory(prefix="dragoman-") as folder:
            database = f"{migrate.SQLITE_PREFIX}{folder}/empty.db"
            settings = msgspec.structs.replace(settings, database=database)
            await migrate.upgrade(database)
            return await _run(settings, work)

    return asyncio.run(run_on_some(app.load_settings()))


async def _run(settings: Settings, work: Callable[[Directory], Awaitable[T]]) -> T:
    if not structlog.is_configured():  # else structlog would write to standard output, as data
        logs.configure("warning", "text")
    version = await database_version(settings)
    path = settings.sqlite_path
    if version != migrate.HEAD_REVISION:
        if not version and path is not None and not path.exists():
            raise CliError(
                ERROR, f"database {path} not found (run 'dragoman migrate' to create it)"
            )
        raise CliError(
            ERROR,
            f"the database is at migration {version or 'none'}, but this program requires "
            f"{migrate.HEAD_REVISION}: run 'dragoman migrate'",
        )
    async with app.open_directory(with_ephemeral_key(settings)) as directory:
        read = directory.read(command_line_actor())
        if await server_state.find(read, server_state.UNFINISHED_RESTORE):
            raise CliError(ERROR, bootstrap.UNFINISHED_RESTORE)
        return await work(directory)


def has_key(settings: Settings) -> bool:
    """Return whether the server key is available: in the settings, or in its file."""
    return bool(settings.secret_key) or server_key.server_key_path(settings).exists()


def with_ephemeral_key(settings: Settings) -> Settings:
    """Return the settings, with a random server key for this process only if none is available.

    Only the server creates a key file: a command may run in any directory, and a server started
    there later would use the wrong key.
    """
    if has_key(settings):
        return settings
    return msgspec.structs.replace(settings, secret_key=secrets.token_bytes(32))


async def database_version(settings: Settings) -> str:
    """Return the revision of the database's latest migration; empty if there is none.

    Raises Unavailable, or CliError if this is not a Dragoman database or a newer program made it.
    """
    path = settings.sqlite_path
    if path is not None:
        if not path.parent.is_dir():
            raise CliError(ERROR, f"directory of the database does not exist: {path.parent}")
        if path.exists() and not _is_sqlite(path):
            raise CliError(ERROR, f"not a SQLite database: {path}")
    try:
        version = await migrate.current_revision(settings.database)
    except ValueError:
        # The driver's message may contain a part of the password.
        raise CliError(
            ERROR,
            "DRAGOMAN_DATABASE: not a valid URL "
            "(special characters in a username or password must be percent-encoded, as in %40)",
        ) from None
    if version > migrate.HEAD_REVISION:
        raise CliError(
            ERROR,
            f"the database is newer than this program (at migration {version}, but this program "
            f"knows {migrate.HEAD_REVISION}): upgrade dragoman",
        )
    return version


def _is_sqlite(path: Path) -> bool:
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER)) in {b"", SQLITE_HEADER}
