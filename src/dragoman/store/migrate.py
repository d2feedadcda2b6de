"""Migrates a database with Alembic; several nodes may start at the same time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import asyncpg

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import connection_options

HEAD_REVISION = "0006"
"""The newest migration; a test compares it with ``migrations/``."""
SCRIPT_LOCATION = Path(__file__).with_name("migrations")
ADVISORY_LOCK_KEY = 7_236_451
"""The key of the advisory lock that the migrating node holds on PostgreSQL."""
_ALEMBIC_LOCK = threading.Lock()  # Alembic's context is global to the process


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Upgrade a database to a revision; ``database_url`` is a URL as in the settings.

    Waits as long as necessary for other nodes that migrate it.

    Raises:
        Unavailable: the database cannot be reached, or a table stays locked for half a minute.
    """
    if await current_revision(database_url) == HEAD_REVISION and revision == "head":
        return
    await asyncio.to_thread(_run_alembic, database_url, "upgrade", revision)


async def downgrade(database_url: str, revision: str) -> None:
    """Downgrade a database to a revision (``base`` for an empty database)."""
    await asyncio.to_thread(_run_alembic, database_url, "downgrade", revision)


async def current_revision(database_url: str) -> str:
    """Return the revision of a database, or an empty string if it is empty."""
    if database_url.startswith("sqlite:///"):
        return await asyncio.to_thread(_sqlite_revision, database_url.removeprefix("sqlite:///"))
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
    from pysqlite3 import dbapi2 as sqlite3

    if not Path(path).exists():
        return ""
    try:
        connection = sqlite3.connect(path)
    except sqlite3.Error as error:
        raise Unavailable("database") from error
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return ""
    finally:
        connection.close()
    return str(row[0]) if row else ""


def _run_alembic(database_url: str, command: str, revision: str) -> None:
    from alembic import command as commands
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPT_LOCATION).replace("%", "%%"))
    config.attributes["database"] = database_url
    with _ALEMBIC_LOCK:
        getattr(commands, command)(config, revision)
