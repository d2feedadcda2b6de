"""The directory for the length of one command: found, looked at, opened, closed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from dragoman import app, server_key
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.cli.errors import ERROR, CliError
from dragoman.rules.actor import Actor
from dragoman.settings import Settings, load
from dragoman.store import migrate

T = TypeVar("T")

SQLITE_HEADER = b"SQLite format 3\0"


def command_line_actor() -> Actor:
    """Return the actor of every change made here; who sat at the terminal is not recorded."""
    return system_actor("command line", contract="cli")


def run(work: Callable[[Directory], Awaitable[T]]) -> T:
    """Do something with the directory that the settings name.

    Raises SettingsError, Unavailable, and Told where there is no database, none of ours, or
    one that another version of the program has made.
    """
    return asyncio.run(_run(load(), work))


async def _run(settings: Settings, work: Callable[[Directory], Awaitable[T]]) -> T:
    version = await database_version(settings)
    path = settings.sqlite_path
    if version != migrate.HEAD_REVISION:
        if not version and path is not None and not path.exists():
            raise CliError(ERROR, f"there is no database at {path} ('dragoman migrate' makes one)")
        raise CliError(
            ERROR,
            f"the database stands at migration {version or 'none'}, "
            f"this program needs {migrate.HEAD_REVISION}: run 'dragoman migrate'",
        )
    async with app.open_directory(with_ephemeral_key(settings)) as directory:
        return await work(directory)


def has_key(settings: Settings) -> bool:
    """Say whether the server's key is at hand: set, or in its file."""
    return bool(settings.secret_key) or server_key.server_key_path(settings).exists()


def with_ephemeral_key(settings: Settings) -> Settings:
    """Return the settings with a key that is thrown away, where there is none at hand.

    Only a server makes a key file; one made by a command, in whatever folder it runs, would be
    the wrong one for the next server that is started there.
    """
    if has_key(settings):
        return settings
    return msgspec.structs.replace(settings, secret_key=secrets.token_bytes(32))


async def database_version(settings: Settings) -> str:
    """Return the migration that the database stands at; empty for none.

    Raises Unavailable, or Told for what is no database of ours, or one of a newer program.
    """
    path = settings.sqlite_path
    if path is not None:
        if not path.parent.is_dir():
            raise CliError(ERROR, f"the folder of the database does not exist: {path.parent}")
        if path.exists() and not _is_sqlite(path):
            raise CliError(ERROR, f"{path} is no SQLite database")
    try:
        version = await migrate.current_revision(settings.database)
    except ValueError:
        # The driver's own words may quote a part of the password.
        raise CliError(
            ERROR,
            "DRAGOMAN_DATABASE cannot be read as an address "
            "(special characters in a name or password are written like %40)",
        ) from None
    if version > migrate.HEAD_REVISION:
        raise CliError(
            ERROR,
            f"the database stands at migration {version}, which is newer than this program "
            f"({migrate.HEAD_REVISION}): start the newer one",
        )
    return version


def _is_sqlite(path: Path) -> bool:
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER)) in {b"", SQLITE_HEADER}
