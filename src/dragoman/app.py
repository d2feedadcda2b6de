"""Settings → store → dialects → door: the only wiring."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman import dialects
from dragoman.actions import start, tokens, upkeep
from dragoman.actions.directory import Directory
from dragoman.actions.start import Welcome
from dragoman.actions.tokens import Kind
from dragoman.door import Door, Served
from dragoman.rules.errors import Unavailable
from dragoman.settings import Settings, SettingsError, load
from dragoman.store import migrate
from dragoman.store.database import Database
from dragoman.store.engine import Driver
from dragoman.web import health, keys, logs
from dragoman.web.answers import Completed

Endpoint = Callable[[Request], Awaitable[Response]]


def driver_for(settings: Settings) -> Driver:
    """Return the driver of the database that the settings name."""
    path = settings.sqlite_path
    if path is not None:
        from dragoman.store.sqlite import SqliteDriver

        return SqliteDriver(path)
    from dragoman.store.postgres import PostgresDriver

    return PostgresDriver(settings.database)


def with_key(settings: Settings) -> Settings:
    """Return the settings with the server's key: as set, else read from, or made in, a file.

    Raises SettingsError if the file holds no key of 32 bytes.
    """
    if settings.secret_key:
        return settings
    path = key_file(settings)
    if not path.exists():
        _make_key(path)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) < 32:
        raise SettingsError([f"{path} holds no key of 32 bytes in hex"])
    return msgspec.structs.replace(settings, secret_key=key)


def _make_key(path: Path) -> None:
    """Put a new key there, whole or not at all; whoever was first wins."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def key_file(settings: Settings) -> Path:
    """Return where the server's key lies when no setting gives it."""
    path = settings.sqlite_path
    return (path.parent if path is not None else Path()) / "dragoman.key"


def contracts_of(settings: Settings) -> tuple[str, ...]:
    """Return the contracts to serve, in order; raises SettingsError for one that is not there."""
    names = settings.contracts or dialects.NAMES
    wanted = {*names, *settings.hosts.values()}
    missing = sorted(wanted - set(dialects.NAMES))
    if missing:
        known = ", ".join(dialects.NAMES)
        raise SettingsError([f"no such contract: {', '.join(missing)} (there are: {known})"])
    hidden = sorted(set(settings.hosts.values()) - set(names))
    if hidden:
        raise SettingsError([f"DRAGOMAN_HOSTS names contracts that are off: {', '.join(hidden)}"])
    return tuple(names)


def kind_of(name: str) -> Kind:
    """Return how a served contract's credentials look."""
    return dialects.load(name).CONTRACT.kind


async def prepare(settings: Settings) -> Welcome | None:
    """Migrate the database and bring an empty one to life; returns a new first superadmin."""
    settings = with_key(settings)
    contracts_of(settings)
    await migrate.upgrade(settings.database)
    async with opened(settings) as directory:
        return await start.prepare(directory)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Directory]:
    """Open a directory for a while (the command line, the first start)."""
    settings = with_key(settings)
    driver = driver_for(settings)
    await driver.open()
    directory = Directory(Database(driver), settings)
    try:
        yield directory
    finally:
        directory.hashing.close()
        await driver.close()


def create(settings: Settings | None = None, *, workers: int = 1) -> Door:
    """Return the whole service as one ASGI application; its life cycle opens the database.

    It begins without a database that cannot serve now, and answers 503 until that can.
    Raises SettingsError.
    """
    settings = with_key(settings or load())
    logs.configure(settings.log_level)
    driver = driver_for(settings)
    directory = Directory(Database(driver), settings, workers=workers)

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncGenerator[None]:
        try:
            await driver.open()
        except Unavailable:  # it was there before: whoever began then is answering 503 as well
            logs.log.warning("database_away")
        chores = asyncio.create_task(upkeep.run(directory))
        try:
            yield
        finally:
            chores.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await chores
            await upkeep.finish(directory)
            directory.hashing.close()
            await driver.close()

    served: dict[str, Served] = {}
    for name in contracts_of(settings):
        dialect: Any = dialects.load(name)
        app = dialect.build(directory)
        scheme = dialect.CONTRACT.scheme
        served[name] = Served(app, dialect.DOCUMENTED, scheme, app.ways)
    routes = [*health.routes(directory, migrate.HEAD), *keys.routes(directory)]
    own = Starlette(
        routes=[*routes, Route("/", _index(settings, served))],
        exception_handlers={HTTPException: _refuse},
        middleware=[Middleware(Completed)],
        lifespan=life,
    )
    own.router.redirect_slashes = False
    return Door(own, served, settings.hosts, partial(tokens.issuer, directory))


def _index(settings: Settings, served: Mapping[str, Served]) -> Endpoint:
    bases = {name: f"{settings.public_url}/{name}/" for name in served}

    async def index(_: Request) -> Response:
        return JSONResponse({"name": "Dragoman", "contracts": bases})

    return index


async def _refuse(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    return JSONResponse({"error": fault.detail}, fault.status_code, fault.headers)
