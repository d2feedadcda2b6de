"""Brings a database to the newest schema with Alembic; many nodes may start at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import asyncpg

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import connection_options

HEAD_REVISION = "0004"
"""The newest migration; a test holds it against ``migrations/``."""
SCRIPT_LOCATION = Path(__file__).with_name("migrations")
ADVISORY_LOCK_KEY = 7_236_451
"""The advisory lock that one migrating node holds on PostgreSQL."""
_ALEMBIC_LOCK = threading.Lock()  # its context is a global of the process


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Migrate a database (a URL as in the settings) up to a revision.

    Waits for other nodes that migrate it, however long they take.
    Raises Unavailable if it cannot be reached, or somebody holds a table for half a minute.
    """
    if await current_revision(database_url) == HEAD_REVISION and revision == "head":
        return
    await asyncio.to_thread(_run_alembic, database_url, "upgrade", revision)


async def downgrade(database_url: str, revision: str) -> None:
    """Migrate a database back to a revision (``base`` for an empty one)."""
    await asyncio.to_thread(_run_alembic, database_url, "downgrade", revision)


async def current_revision(database_url: str) -> str:
    """Return the migration that a database stands at; empty for an empty one."""
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
