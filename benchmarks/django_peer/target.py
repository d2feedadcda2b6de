"""Fills and starts Django REST framework: the same users in its own tables, the same server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.data import ADMIN_ID, MIDDLE_OWNER_ID, OWNER_ID, PASSWORD, Dataset
from benchmarks.servers import FilledDatabase, Target, database, serving
from dragoman.dialects.wiwebb.schemas import ROLE_NAMES
from dragoman.rules.passwords import hash_password
from tests.support.postgresql import PostgreSQL
from tests.support.server import free_port

NAME = "Django REST framework"
BLOCKING_THREADS = 2
"""Threads per worker: one waits for the database while the other computes; more wait for the GIL."""
CALLERS = {"admin": ADMIN_ID, "owner": OWNER_ID, "middle owner": MIDDLE_OWNER_ID}

TENANTS = ("id", "name", "slug")
USERS = (
    "id", "tenant_id", "role", "username", "email", "first_name", "last_name", "phone_number",
    "bio", "url", "company", "location", "password", "is_active", "date_joined", "last_login",
)  # fmt: skip
SEARCHED = ("username", "email", "first_name", "last_name")
INDEXES = (
    # What a search needs (Django compares in upper case); made after the load, as one would.
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    *(
        f"CREATE INDEX user_{column}_trigrams ON django_peer_user"
        f" USING gin (upper({column}::text) gin_trgm_ops)"
        for column in SEARCHED
    ),
    peers.next_id("django_peer_user"),
)


@contextlib.contextmanager
def filled_target(dataset: Dataset, folder: Path, server: PostgreSQL) -> Generator[FilledDatabase]:
    """Fill a new database on ``server`` and yield it."""
    with database(server, "django") as url:
        environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.django_peer.settings",
            "PEER_DATABASE": url,
            "PEER_SECRET_KEY": secrets.token_hex(32),
            "PYTHONPATH": str(peers.HOME),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"]
        subprocess.run(migrate, env=environment, cwd=folder, check=True)
        began = time.perf_counter()
        keys = {name: secrets.token_hex(20) for name in CALLERS}
        asyncio.run(peers.fill(url, _tables(dataset, keys), INDEXES))
        took = round(time.perf_counter() - began, 1)
        tokens = {name: f"Token {key}" for name, key in keys.items()}

        @contextlib.contextmanager
        def serve(workers: int) -> Generator[Target]:
            port = free_port()
            command = [
                sys.executable, "-m", "granian", "benchmarks.django_peer.wsgi:application",
                "--interface", "wsgi", "--http", "1", "--no-ws", "--port", str(port),
                "--workers", str(workers), "--blocking-threads", str(BLOCKING_THREADS),
                "--log-level", "warning",
            ]  # fmt: skip
            with serving(command, environment, folder, port) as (pid, ready_s):
                yield Target(NAME, "django", f"http://127.0.0.1:{port}", pid, ready_s, tokens)

        yield FilledDatabase(NAME, "django", url, took, serve)


def _tables(dataset: Dataset, keys: dict[str, str]) -> Iterator[peers.Table]:
    at = datetime.now(UTC)
    yield "django_peer_tenant", TENANTS, ((t.id, t.name, t.slug) for t in dataset.tenants())
    yield "django_peer_user", USERS, _users(dataset)
    held = [(key, at, CALLERS[name]) for name, key in keys.items()]
    yield "authtoken_token", ("key", "created", "user_id"), held


def _users(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    encoded = "argon2" + hash_password(PASSWORD)
    for p in dataset.people():
        yield (
            p.id, p.tenant_id, ROLE_NAMES[p.role], p.username, p.email, p.first_name, p.last_name,
            p.phone, p.bio, p.url, p.company, p.location, encoded, p.active,
            peers.timestamp(p.created_at), peers.timestamp_or_none(p.last_login_at),
        )  # fmt: skip
