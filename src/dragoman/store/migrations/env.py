"""Alembic's environment: runs the migrations in one transaction, on one node at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context
from sqlalchemy.exc import DBAPIError

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import UNAVAILABLE_ERRORS
from dragoman.store.drivers.postgres import LONG_LOCK_MS
from dragoman.store.migrate import ADVISORY_LOCK_KEY
from dragoman.store.schema import metadata


def _migrate(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            _acquire_migration_lock(connection)
        context.run_migrations()


def _acquire_migration_lock(connection: sa.Connection) -> None:
    # Timeouts set for the role or the database are meant for requests. A migration, here or on
    # another node, may take longer, and a node that gave up would not start.
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK_KEY})
    # All queries queue behind a statement that waits to change a table, so that wait is limited;
    # but to the limit of a job, because the limit of a request would fail beside any long read.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LONG_LOCK_MS}")


def _migrate_sqlite(path: str) -> None:
    from dragoman.store.drivers import sqlite_library
    from dragoman.store.drivers.sqlite import connect

    engine = sa.create_engine(
        "sqlite://",
        module=sqlite_library.dbapi,
        creator=lambda: sqlite_library.describe_results(connect(Path(path))),
        poolclass=sa.pool.NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            _migrate(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise


async def _migrate_postgres(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> Any:
        return await Hosts(url).connect(timeout=5)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=sa.pool.NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, UNAVAILABLE_ERRORS):
            raise Unavailable("database") from cause
        raise
    finally:
        await engine.dispose()


_database_url: str = context.config.attributes["database"]
if _database_url.startswith("sqlite:///"):
    _migrate_sqlite(_database_url.removeprefix("sqlite:///"))
else:
    asyncio.run(_migrate_postgres(_database_url))
