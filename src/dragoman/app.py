"""Settings → store → dialects → door: the only wiring."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman import dialects
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.dispatch import Door, Served
from dragoman.jobs import background, bootstrap
from dragoman.jobs.bootstrap import Welcome
from dragoman.rules.credentials import Kind
from dragoman.rules.errors import Unavailable
from dragoman.server_key import with_key
from dragoman.settings import Settings, SettingsError, load
from dragoman.store import migrate
from dragoman.store.transaction import Driver
from dragoman.web import health, jwks, logs
from dragoman.web.responses import Completed

Endpoint = Callable[[Request], Awaitable[Response]]


def driver_for(settings: Settings) -> Driver:
    """Return the driver of the database that the settings name."""
    path = settings.sqlite_path
    if path is not None:
        from dragoman.store.drivers.sqlite import SqliteDriver

        return SqliteDriver(path)
    from dragoman.store.drivers.postgres import PostgresDriver

    return PostgresDriver(settings.database)


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
        return await bootstrap.prepare(directory)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Directory]:
    """Open a directory for a while (the command line, the first start)."""
    settings = with_key(settings)
    driver = driver_for(settings)
    await driver.open()
    directory = Directory(driver, settings)
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
    directory = Directory(driver, settings, workers=workers)

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncGenerator[None]:
        try:
            await driver.open()
        except Unavailable:  # it was there before: whoever began then is answering 503 as well
            logs.log.warning("database_away")
        chores = asyncio.create_task(background.run(directory))
        try:
            yield
        finally:
            chores.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await chores
            await background.finish(directory)
            directory.hashing.close()
            await driver.close()

    served: dict[str, Served] = {}
    for name in contracts_of(settings):
        dialect: Any = dialects.load(name)
        app = dialect.build(directory)
        scheme = dialect.CONTRACT.scheme
        served[name] = Served(app, dialect.DOCUMENTED, scheme, app.ways)
    routes = [*health.routes(directory, migrate.HEAD), *jwks.routes(directory)]
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
