"""Django REST framework as a target: the same people in its own tables, the same server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.data import ADMIN_ID, OWNER_ID, Dataset
from benchmarks.ours import PASSWORD
from benchmarks.servers import Target, database, serving, settle
from dragoman.dialects.wiwebb.schemas import WORDS
from dragoman.rules.passwords import hash_password
from tests.support.postgresql import PostgreSQL
from tests.support.server import free_port

HOME = Path(__file__).parents[1]
NAME = "Django REST framework"
BLOCKING_THREADS = 2
"""Per worker: one waits for the database while another computes; more only queue for the GIL."""

TENANTS = ("id", "name", "slug")
USERS = (
    "id", "tenant_id", "role", "username", "email", "first_name", "last_name", "phone_number",
    "bio", "url", "company", "location", "password", "is_active", "date_joined", "last_login",
)  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def django(dataset: Dataset, folder: Path, workers: int, server: PostgreSQL) -> Generator[Target]:
    """Serve the data set by Django REST framework from a database of its own on ``server``."""
    with database(server, "django") as url:
        environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.django_peer.settings",
            "PEER_DATABASE": url,
            "PEER_SECRET_KEY": secrets.token_hex(32),
            "PYTHONPATH": str(HOME),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"]
        subprocess.run(migrate, env=environment, cwd=folder, check=True)
        credentials = asyncio.run(_fill(url, dataset))
        port = free_port()
        command = [
            sys.executable, "-m", "granian", "benchmarks.django_peer.wsgi:application",
            "--interface", "wsgi", "--http", "1", "--no-ws", "--port", str(port),
            "--workers", str(workers), "--blocking-threads", str(BLOCKING_THREADS),
            "--log-level", "warning",
        ]  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        with serving(command, environment, folder, f"{address}/readyz") as pid:
            yield Target(NAME, address, pid, credentials)


async def _fill(url: str, dataset: Dataset) -> dict[str, str]:
    keys = {"admin": secrets.token_hex(20), "owner": secrets.token_hex(20)}
    at = datetime.now(UTC)
    held = [(keys["admin"], at, ADMIN_ID), (keys["owner"], at, OWNER_ID)]
    tables: dict[str, tuple[tuple[str, ...], Any]] = {
        "django_peer_tenant": (TENANTS, ((t.id, t.name, t.slug) for t in dataset.tenants())),
        "django_peer_user": (USERS, _users(dataset)),
        "authtoken_token": (("key", "created", "user_id"), held),
    }
    connection: Any = await asyncpg.connect(url)
    try:
        for table, (columns, rows) in tables.items():
            await connection.copy_records_to_table(table, records=rows, columns=columns)
    finally:
        await connection.close()
    await settle(url)
    return keys


def _users(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    encoded = "argon2" + hash_password(PASSWORD)
    for p in dataset.people():
        yield (
            p.id, p.tenant_id, WORDS[p.role], p.username, p.email, p.first_name, p.last_name,
            p.phone, p.bio, p.url, p.company, p.location, encoded, p.active,
            _moment(p.created_at), _moment(p.last_login_at) if p.last_login_at else None,
        )  # fmt: skip


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
