"""``dragoman migrate``."""

from __future__ import annotations

import asyncio

from dragoman import app
from dragoman.cli.errors import echo
from dragoman.cli.session import database_version
from dragoman.settings import Settings
from dragoman.store import migrate as migrations


def migrate() -> None:
    """Apply all pending migrations."""

    async def work(settings: Settings) -> None:
        previous_version = await database_version(settings)
        await migrations.upgrade(settings.database, report=lambda line: echo([line]))
        if previous_version == migrations.HEAD_REVISION:
            echo([f"The database is already at migration {previous_version}"])
        else:
            echo([f"Migrated the database to {migrations.HEAD_REVISION}"])

    asyncio.run(work(app.load_settings()))
