"""Database drivers: SQLite and PostgreSQL."""

from __future__ import annotations

from dragoman.settings import Settings
from dragoman.store.transaction import Driver


def driver_for(settings: Settings) -> Driver:
    """Return the driver of the database that the settings name."""
    path = settings.sqlite_path
    if path is not None:
        from dragoman.store.drivers.sqlite import SqliteDriver

        return SqliteDriver(path)
    from dragoman.store.drivers.postgres import PostgresDriver

    return PostgresDriver(settings.database)
