"""Dragoman as a target: its database filled directly, served by `dragoman serve`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.data import ADMIN_ID, MIDDLE_OWNER_ID, OWNER_ID, PASSWORD, Dataset
from benchmarks.servers import FilledDatabase, Target, database, serving, settle
from dragoman import app, dialects
from dragoman.actions import tokens
from dragoman.actions.system import system_actor
from dragoman.rules.fields import canonical, search_key
from dragoman.rules.passwords import hash_password
from dragoman.settings import Settings
from dragoman.store import migrate
from dragoman.store.user_lists import counters
from tests.support.postgresql import PostgreSQL
from tests.support.server import dragoman_command, free_port

SECRET_KEY = bytes(range(32))

TENANTS = ("id", "public_id", "name", "name_key", "slug", "slug_key", "created_at", "updated_at")
USERS = (
    "id", "public_id", "tenant_id", "role", "username", "username_key", "username_sort", "email",
    "email_key", "first_name", "first_name_sort", "last_name", "last_name_sort", "phone", "bio", "url", "company", "location", "search",
    "password_hash", "active", "verified", "created_at", "updated_at", "last_login_at",
)  # fmt: skip
NAMES = ("key", "user_id")
CALLERS = {
    "admin": ("wiwebb", ADMIN_ID),
    "owner": ("wiwebb", OWNER_ID),
    "middle owner": ("wiwebb", MIDDLE_OWNER_ID),
    "vsay": ("vsay", OWNER_ID),
    "wekan": ("wekan", OWNER_ID),
    "binacle": ("binacle", OWNER_ID),
}
"""Contract and user id of each caller."""

Rows = Iterator[tuple[Any, ...]]


@contextlib.contextmanager
def sqlite_target(dataset: Dataset, folder: Path) -> Generator[FilledDatabase]:
    """Fill a SQLite file in ``folder`` and yield it."""
    yield _filled("dragoman, SQLite", f"sqlite:///{folder / 'dragoman.db'}", dataset, folder)


@contextlib.contextmanager
def postgresql_target(
    dataset: Dataset, folder: Path, server: PostgreSQL
) -> Generator[FilledDatabase]:
    """Fill a new database on ``server`` and yield it."""
    with database(server, f"dragoman_{dataset.users}") as url:
        yield _filled("dragoman, PostgreSQL", url, dataset, folder)


def _filled(name: str, url: str, dataset: Dataset, folder: Path) -> FilledDatabase:
    settings = Settings(database=url, secret_key=SECRET_KEY)
    began = time.perf_counter()
    asyncio.run(_fill(settings, dataset))
    took = round(time.perf_counter() - began, 1)

    @contextlib.contextmanager
    def serve(workers: int) -> Generator[Target]:
        tokens = asyncio.run(credentials(settings))
        port = free_port()
        environment = {
            "DRAGOMAN_DATABASE": url,
            "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
            # All requests come from one address, so rate limits are off; the rest has its defaults.
            "DRAGOMAN_ANONYMOUS_RATE": "off",
            "DRAGOMAN_CONNECTIONS_PER_ADDRESS": "0",  # all of them come from one address
            "DRAGOMAN_USER_RATE": "off",
        }
        command = [*dragoman_command(), "serve", "--port", str(port), "--workers", str(workers)]
        with serving(command, environment, folder, port) as (pid, ready_s):
            yield Target(name, "dragoman", f"http://127.0.0.1:{port}", pid, ready_s, tokens)

    return FilledDatabase(name, "dragoman", url, took, serve)


async def _fill(settings: Settings, dataset: Dataset) -> None:
    """Migrate the database, load the users, rebuild the counters."""
    await migrate.upgrade(settings.database)
    path = settings.sqlite_path
    if path is None:
        await _copy(settings.database, dataset)
    else:
        await asyncio.to_thread(_insert, path, dataset)
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("benchmark")) as tx,
    ):
        await counters.recount(tx)


async def credentials(settings: Settings) -> dict[str, str]:
    """Return ``Authorization`` values of the callers; some are valid for an hour."""
    found: dict[str, str] = {}
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("benchmark")) as tx,
    ):
        for name, (contract, user_id) in CALLERS.items():
            spoken = dialects.load(contract).CONTRACT
            given = await tokens.issue(tx, directory, user_id, spoken.credential_format)
            found[name] = f"{spoken.scheme} {given.secret}"
    return found


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
    encoded = hash_password(
        PASSWORD
    )  # one hash for all users; the sign-in scenario knows the password
    for p in dataset.people():
        texts = (p.username, p.email, p.first_name, p.last_name)
        searched = [search_key(text) for text in texts]
        yield (
            p.id, p.public_id, p.tenant_id, int(p.role), p.username, canonical(p.username),
            searched[0], p.email, canonical(p.email), p.first_name, searched[2], p.last_name,
            searched[3], p.phone, p.bio, p.url, p.company, p.location,
            "\n".join(searched), encoded, p.active, True, p.created_at, p.created_at,
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
    from dragoman.store.drivers.sqlite import connect

    with contextlib.closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # for this connection only
        connection.execute("BEGIN")
        for table, (columns, rows) in _tables(dataset).items():
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            connection.executemany(insert, rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
