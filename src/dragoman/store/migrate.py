"""Migrates a database with Alembic; several nodes may start at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers import sqlite_library
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import connection_options

HEAD_REVISION = "0007"
"""The newest migration; a test compares it with ``migrations/``."""
SCRIPT_LOCATION = Path(__file__).with_name("migrations")
ADVISORY_LOCK_KEY = 7_236_451
"""The key of the advisory lock that the migrating node holds on PostgreSQL."""
SQLITE_PREFIX = "sqlite:///"
MAX_COPIES = 2
"""Number of copies from before migrations that are kept, the newest ones."""
_ALEMBIC_LOCK = threading.Lock()  # Alembic's context is global to the process


def no_report(_: str) -> None:
    """Report no progress."""


async def upgrade(
    database_url: str,
    revision: str = "head",
    *,
    report: Callable[[str], None] = no_report,
    keep_copy: bool = True,
) -> None:
    """Upgrade a database to a revision; waits as long as necessary for other nodes.

    A SQLite file is copied to ``NAME.before-NNNN`` first (see ``_keep_copy``).

    Args:
        database_url: the URL of the database, as in the settings.
        revision: the revision to upgrade to.
        report: called with a line of text when there is progress to report, or a result that
            the operator has to know.
        keep_copy: copy a SQLite file first.

    Raises:
        Unavailable: the database cannot be reached, or a table stays locked for half a minute.
    """
    current = await current_revision(database_url)
    if current == HEAD_REVISION and revision == "head":
        return
    if current and keep_copy and database_url.startswith(SQLITE_PREFIX):
        path = Path(database_url.removeprefix(SQLITE_PREFIX))
        next_revision = HEAD_REVISION if revision == "head" else revision
        await asyncio.to_thread(_keep_copy, path, next_revision, report)
    await asyncio.to_thread(_run_alembic, database_url, "upgrade", revision, report)


async def downgrade(database_url: str, revision: str) -> None:
    """Downgrade a database to a revision (``base`` for an empty database)."""
    await asyncio.to_thread(_run_alembic, database_url, "downgrade", revision)


async def current_revision(database_url: str) -> str:
    """Return the revision of a database, or an empty string if it is empty.

    Every command asks for it before anything else. Raises Unavailable, or UnsupportedDatabase if
    the SQLite of this installation cannot be used.
    """
    if database_url.startswith(SQLITE_PREFIX):
        return await asyncio.to_thread(_sqlite_revision, database_url.removeprefix(SQLITE_PREFIX))
    try:
        connection: Any = await Hosts(database_url).connect(**connection_options())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        raise Unavailable("database") from error
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version") or "")
    except asyncpg.UndefinedTableError:
        return ""
    finally:
        await connection.close()


def _sqlite_revision(path: str) -> str:
    sqlite_library.require_supported()
    if not Path(path).exists():
        return ""
    try:
        connection = sqlite_library.connect(path)
    except sqlite_library.Error as error:
        raise Unavailable("database") from error
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite_library.Error as error:
        if sqlite_library.is_sql_error(error):
            return ""
        raise Unavailable("database") from error
    finally:
        connection.close()
    return str(row[0]) if row else ""


def _keep_copy(path: Path, next_revision: str, report: Callable[[str], None]) -> None:
    """Copy a SQLite file to ``NAME.before-NNNN``, readable by its owner only; keep two copies.

    The copy is complete before it gets its name, so that a file of that name can be trusted.
    """
    target = path.with_name(f"{path.name}.before-{next_revision}")
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        source, copy = sqlite_library.connect(path), sqlite_library.connect(unfinished)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
        unfinished.replace(target)
    except sqlite_library.Error as error:
        raise Unavailable("database") from error
    finally:
        unfinished.unlink(missing_ok=True)
    report(f"copied the database to {target} before migrating it")
    copies = sorted(path.parent.glob(f"{path.name}.before-[0-9][0-9][0-9][0-9]"))
    for outdated in copies[:-MAX_COPIES]:
        outdated.unlink()


def _run_alembic(
    database_url: str, command: str, revision: str, report: Callable[[str], None] = no_report
) -> None:
    from alembic import command as commands
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPT_LOCATION).replace("%", "%%"))
    config.attributes["database"] = database_url
    config.attributes["report"] = report
    with _ALEMBIC_LOCK:
        getattr(commands, command)(config, revision)
