"""The directory itself as a target: filled past its front door, served by `dragoman serve`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.data import ADMIN_ID, OWNER_ID, Dataset
from benchmarks.servers import Target, database, serving, settle
from dragoman import app
from dragoman.actions import tokens
from dragoman.actions.directory import machine
from dragoman.dialects.wiwebb.auth import KIND
from dragoman.rules.fields import canonical
from dragoman.rules.passwords import hash_password
from dragoman.settings import Rate, Settings
from dragoman.store import counts, migrate
from tests.support.postgresql import PostgreSQL
from tests.support.server import dragoman, free_port

SECRET_KEY = bytes(range(32))
PASSWORD = "violet-Kettle-42"

TENANTS = ("id", "public_id", "name", "name_key", "slug", "slug_key", "created_at", "updated_at")
USERS = (
    "id", "public_id", "tenant_id", "role", "username", "username_key", "email", "email_key",
    "first_name", "last_name", "phone", "bio", "url", "company", "location", "search",
    "password_hash", "active", "verified", "created_at", "updated_at", "last_login_at",
)  # fmt: skip
NAMES = ("key", "user_id")

Rows = Iterator[tuple[Any, ...]]


@contextlib.contextmanager
def on_sqlite(dataset: Dataset, folder: Path, workers: int) -> Generator[Target]:
    """Serve the data set from a SQLite file in ``folder``."""
    path = folder / "dragoman.db"
    with _served("dragoman, SQLite", f"sqlite:///{path}", dataset, folder, workers) as target:
        yield target


@contextlib.contextmanager
def on_postgresql(
    dataset: Dataset, folder: Path, workers: int, server: PostgreSQL
) -> Generator[Target]:
    """Serve the data set from a database of its own on ``server``."""
    with (
        database(server, "ours") as url,
        _served("dragoman, PostgreSQL", url, dataset, folder, workers) as target,
    ):
        yield target


@contextlib.contextmanager
def _served(name: str, url: str, dataset: Dataset, folder: Path, workers: int) -> Generator[Target]:
    settings = Settings(database=url, secret_key=SECRET_KEY, anonymous_rate=Rate(0, 1))
    credentials = asyncio.run(_fill(settings, dataset))
    port = free_port()
    environment = {
        "DRAGOMAN_DATABASE": url,
        "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
        "DRAGOMAN_ANONYMOUS_RATE": "off",  # everything else as it comes, durability included
    }
    command = [*dragoman(), "serve", "--port", str(port), "--workers", str(workers)]
    address = f"http://127.0.0.1:{port}"
    with serving(command, environment, folder, f"{address}/readyz") as pid:
        yield Target(name, address, pid, credentials)


async def _fill(settings: Settings, dataset: Dataset) -> dict[str, str]:
    """Migrate, load, make the counters anew; return a credential of each who asks."""
    await migrate.upgrade(settings.database)
    path = settings.sqlite_path
    if path is None:
        await _copy(settings.database, dataset)
    else:
        await asyncio.to_thread(_insert, path, dataset)
    actor = machine("benchmark")
    async with app.opened(settings) as directory, directory.begin(actor) as tx:
        await counts.recount(tx)
        return {
            "admin": (await tokens.issue(tx, directory, ADMIN_ID, KIND)).secret,
            "owner": (await tokens.issue(tx, directory, OWNER_ID, KIND)).secret,
        }


def _tables(dataset: Dataset) -> dict[str, tuple[tuple[str, ...], Rows]]:
    return {
        "tenants": (TENANTS, _tenants(dataset)),
        "users": (USERS, _users(dataset)),
        "names": (NAMES, _names(dataset)),
    }


def _tenants(dataset: Dataset) -> Rows:
    for t in dataset.tenants():
        names = (t.name, canonical(t.name), t.slug, canonical(t.slug))
        yield (t.id, t.uuid, *names, t.created_at, t.created_at)


def _users(dataset: Dataset) -> Rows:
    encoded = hash_password(PASSWORD)  # everybody's: a benchmark of sign-in knows it
    for p in dataset.people():
        texts = (p.username, p.email, p.first_name, p.last_name)
        keys = [canonical(text) for text in texts]
        yield (
            p.id, p.public_id, p.tenant_id, int(p.role), p.username, keys[0], p.email, keys[1],
            p.first_name, p.last_name, p.phone, p.bio, p.url, p.company, p.location,
            "\n".join(keys), encoded, p.active, True, p.created_at, p.created_at,
            p.last_login_at,
        )  # fmt: skip


def _names(dataset: Dataset) -> Rows:
    for p in dataset.people():
        yield canonical(p.username), p.id
        yield canonical(p.email), p.id


async def _copy(url: str, dataset: Dataset) -> None:
    connection: Any = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for table, (columns, rows) in _tables(dataset).items():
                await connection.copy_records_to_table(table, records=rows, columns=columns)
            for table in ("tenants", "users"):
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
    finally:
        await connection.close()
    await settle(url)


def _insert(path: Path, dataset: Dataset) -> None:
    from dragoman.store.sqlite import connect

    with contextlib.closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # of this connection alone
        connection.execute("BEGIN")
        for table, (columns, rows) in _tables(dataset).items():
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            connection.executemany(insert, rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
