"""Fills and starts fastapi-users, in its own cached virtual environment."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.data import ADMIN_ID, MIDDLE_OWNER_ID, OWNER_ID, PASSWORD, Dataset
from benchmarks.servers import FilledDatabase, Target, UnreadyError, database, serving
from benchmarks.wrk import CACHE
from dragoman.dialects.wiwebb.schemas import ROLE_NAMES
from dragoman.rules.passwords import hash_password
from tests.support.postgresql import PostgreSQL
from tests.support.server import free_port

NAME = "fastapi-users"
LOCK = Path(__file__).with_name("requirements.lock")
INSTALL_S = 300
CALLERS = {"admin": ADMIN_ID, "owner": OWNER_ID, "middle owner": MIDDLE_OWNER_ID}

USERS = (
    "id", "tenant_id", "role", "username", "email", "first_name", "last_name", "phone_number",
    "bio", "url", "company", "location", "hashed_password", "is_active", "is_superuser",
    "is_verified", "date_joined", "last_login",
)  # fmt: skip
INDEXES = (
    "CREATE INDEX users_by_lower_email ON users (lower(email))",  # so its library asks
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    # What a search needs: SQLAlchemy's icontains is ILIKE here.
    *(
        f"CREATE INDEX users_{column}_trigrams ON users USING gin ({column} gin_trgm_ops)"
        for column in ("username", "email", "first_name", "last_name")
    ),
    peers.next_id("users"),
)


@contextlib.contextmanager
def filled_target(dataset: Dataset, folder: Path, server: PostgreSQL) -> Generator[FilledDatabase]:
    """Fill a new database on ``server``; raises UnreadyError without the libraries."""
    python = str(_environment() / "bin" / "python")
    with database(server, "fastapi") as url:
        environment = {"PEER_DATABASE": url, "PYTHONPATH": str(peers.HOME)}
        make = [python, "-m", "benchmarks.fastapi_peer.tables"]
        subprocess.run(make, env=environment, cwd=folder, check=True)
        began = time.perf_counter()
        keys = {name: secrets.token_urlsafe() for name in CALLERS}
        asyncio.run(peers.fill(url, _tables(dataset, keys), INDEXES))
        took = round(time.perf_counter() - began, 1)
        tokens = {name: f"Bearer {key}" for name, key in keys.items()}

        @contextlib.contextmanager
        def serve(workers: int) -> Generator[Target]:
            port = free_port()
            command = [
                python, "-m", "granian", "benchmarks.fastapi_peer.app:app",
                "--interface", "asgi", "--http", "1", "--no-ws", "--port", str(port),
                "--workers", str(workers), "--loop", "uvloop", "--log-level", "warning",
            ]  # fmt: skip
            with serving(command, environment, folder, port) as (pid, ready_s):
                yield Target(NAME, "fastapi", f"http://127.0.0.1:{port}", pid, ready_s, tokens)

        yield FilledDatabase(NAME, "fastapi", url, took, serve)


def _environment() -> Path:
    """Return the virtual environment of this lock file, created if missing."""
    locked = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = CACHE / f"fastapi-{locked}"
    if (place / "made").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    try:
        for command in (
            [sys.executable, "-m", "venv", str(place)],
            [str(place / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check",
             "--require-hashes", "-r", str(LOCK)],
        ):  # fmt: skip
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        raise UnreadyError(f"its libraries cannot be installed\n{error.stderr[-1000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise UnreadyError("its libraries take too long to install") from error
    (place / "made").touch()
    return place


def _tables(dataset: Dataset, keys: dict[str, str]) -> Iterator[peers.Table]:
    at = datetime.now(UTC)
    tenants = ((t.id, t.name, t.slug) for t in dataset.tenants())
    yield "tenants", ("id", "name", "slug"), tenants
    yield "users", USERS, _users(dataset)
    held = [(key, at, CALLERS[name]) for name, key in keys.items()]
    yield "accesstoken", ("token", "created_at", "user_id"), held


def _users(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    encoded = hash_password(PASSWORD)
    for p in dataset.people():
        yield (
            p.id, p.tenant_id, ROLE_NAMES[p.role], p.username, p.email, p.first_name, p.last_name,
            p.phone, p.bio, p.url, p.company, p.location, encoded, p.active, False, True,
            peers.timestamp(p.created_at), peers.timestamp_or_none(p.last_login_at),
        )  # fmt: skip
