"""Runs the migrations over our own drivers, one transaction, one node at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context

from dragoman.store.hosts import Hosts
from dragoman.store.migrate import LOCK
from dragoman.store.schema import metadata


def _migrate(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


def _sqlite(path: str) -> None:
    from pysqlite3 import dbapi2

    from dragoman.store.sqlite import connect

    engine = sa.create_engine(
        "sqlite://",
        module=dbapi2,
        creator=lambda: connect(Path(path)),
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


async def _postgres(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> Any:
        return await Hosts(url).connect(timeout=5)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=sa.pool.NullPool
    )
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


_database: str = context.config.attributes["database"]
if _database.startswith("sqlite:///"):
    _sqlite(_database.removeprefix("sqlite:///"))
else:
    asyncio.run(_postgres(_database))
