"""Fills and starts Better Auth, if Node and npm exist; its packages are installed in the cache."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.data import ADMIN_ID, OWNER_ID, PASSWORD, Dataset
from benchmarks.servers import FilledDatabase, Target, UnreadyError, database, serving
from benchmarks.wrk import CACHE
from dragoman.rules.passwords import hash_password
from tests.support.postgresql import PostgreSQL
from tests.support.server import free_port

NAME = "Better Auth"
SOURCES = Path(__file__).parent
INSTALL_S = 180
CALLERS = {"admin": ADMIN_ID, "owner": OWNER_ID}
USERS = ("id", "name", "email", "emailVerified", "createdAt", "updatedAt", "role", "tenant")
ACCOUNTS = ("id", "accountId", "providerId", "userId", "password", "createdAt", "updatedAt")
SESSIONS = ("id", "expiresAt", "token", "createdAt", "updatedAt", "userId")
INDEXES = ('CREATE INDEX user_by_tenant_name ON "user" (tenant, name)',)


@contextlib.contextmanager
def filled_target(dataset: Dataset, folder: Path, server: PostgreSQL) -> Generator[FilledDatabase]:
    """Fill a new database on ``server``; raises UnreadyError without Node or its packages."""
    _install(folder)
    node = str(shutil.which("node"))
    with database(server, "better") as url:
        environment = {
            "PEER_DATABASE": url,
            "PEER_SECRET_KEY": secrets.token_hex(32),
            "NODE_ENV": "production",
        }
        _run([node, "tables.mjs"], folder, {**environment, "PEER_URL": "http://127.0.0.1"})
        began = time.perf_counter()
        keys = {name: secrets.token_urlsafe(24) for name in CALLERS}
        asyncio.run(peers.fill(url, _tables(dataset, keys), INDEXES))
        took = round(time.perf_counter() - began, 1)
        tokens = {name: f"Bearer {key}" for name, key in keys.items()}

        @contextlib.contextmanager
        def serve(workers: int) -> Generator[Target]:
            port = free_port()
            address = f"http://127.0.0.1:{port}"
            place = {"PEER_PORT": str(port), "PEER_WORKERS": str(workers), "PEER_URL": address}
            with serving([node, "server.mjs"], environment | place, folder, port) as (pid, ready_s):
                yield Target(NAME, "better-auth", address, pid, ready_s, tokens)

        yield FilledDatabase(NAME, "better-auth", url, took, serve)


def _install(folder: Path) -> None:
    """Copy the sources and link the packages into ``folder``; packages are cached."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        raise UnreadyError("Node and npm are not installed")
    for path in SOURCES.iterdir():
        if path.suffix in {".mjs", ".json"}:
            shutil.copy2(path, folder)
    wanted = hashlib.sha256((SOURCES / "package.json").read_bytes()).hexdigest()[:16]
    place = CACHE / f"better-auth-{wanted}"
    if not (place / "made").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy2(SOURCES / "package.json", place)
        quietly = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
        _run([npm, "install", *quietly, "--legacy-peer-deps"], place)
        (place / "made").touch()
    (folder / "node_modules").symlink_to(place / "node_modules")


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True,
            timeout=INSTALL_S,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise UnreadyError(
            f"{Path(command[0]).name} {command[1]}: {error.stderr[-1000:]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UnreadyError(f"{Path(command[0]).name} {command[1]} takes too long") from error


def _tables(dataset: Dataset, keys: dict[str, str]) -> Iterator[peers.Table]:
    at = datetime.now(UTC)
    later = at + timedelta(days=7)
    encoded = hash_password(PASSWORD)
    yield "user", USERS, _users(dataset)
    yield (
        "account",
        ACCOUNTS,
        ((str(n), str(n), "credential", str(n), encoded, at, at) for n in _ids(dataset)),
    )
    held = [(name, later, key, at, at, str(CALLERS[name])) for name, key in keys.items()]
    yield "session", SESSIONS, held


def _ids(dataset: Dataset) -> range:
    return range(1, dataset.users + 1)


def _users(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    for p in dataset.people():
        at = peers.timestamp(p.created_at)
        role = "admin" if p.id in CALLERS.values() else "user"
        yield str(p.id), p.username, p.email, True, at, at, role, str(p.tenant_id or "")
