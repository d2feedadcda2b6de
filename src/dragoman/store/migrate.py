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

HEAD = "0004"
"""The newest migration; a test holds it against ``migrations/``."""
SCRIPTS = Path(__file__).with_name("migrations")
LOCK = 7_236_451
"""The advisory lock that one migrating node holds on PostgreSQL."""
_ALEMBIC = threading.Lock()  # its context is a global of the process


async def upgrade(database: str, revision: str = "head") -> None:
    """Migrate a database (a URL as in the settings) up to a revision.

    Waits for other nodes that migrate it, however long they take.
    Raises Unavailable if it cannot be reached, or somebody holds a table for half a minute.
    """
    if await version(database) == HEAD and revision == "head":
        return
    await asyncio.to_thread(_run, database, "upgrade", revision)


async def downgrade(database: str, revision: str) -> None:
    """Migrate a database back to a revision (``base`` for an empty one)."""
    await asyncio.to_thread(_run, database, "downgrade", revision)


async def version(database: str) -> str:
    """Return the migration that a database stands at; empty for an empty one."""
    if database.startswith("sqlite:///"):
        return await asyncio.to_thread(_sqlite_version, database.removeprefix("sqlite:///"))
    try:
        connection: Any = await Hosts(database).connect(**connection_options())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as fault:
        raise Unavailable("database") from fault
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version") or "")
    except asyncpg.UndefinedTableError:
        return ""
    finally:
        await connection.close()


def _sqlite_version(path: str) -> str:
    from pysqlite3 import dbapi2 as sqlite3

    if not Path(path).exists():
        return ""
    try:
        connection = sqlite3.connect(path)
    except sqlite3.Error as fault:
        raise Unavailable("database") from fault
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return ""
    finally:
        connection.close()
    return str(row[0]) if row else ""


def _run(database: str, command: str, revision: str) -> None:
    from alembic import command as commands
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["database"] = database
    with _ALEMBIC:
        getattr(commands, command)(config, revision)
