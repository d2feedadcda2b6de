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
from dragoman.dispatch import ContractDispatcher, MountedContract
from dragoman.jobs import background, bootstrap
from dragoman.jobs.bootstrap import FirstAdmin
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Unavailable
from dragoman.server_key import with_server_key
from dragoman.settings import Settings, SettingsError, load
from dragoman.store import migrate
from dragoman.store.transaction import Driver
from dragoman.web import health, jwks, logs
from dragoman.web.responses import SecurityHeadersMiddleware

RequestHandler = Callable[[Request], Awaitable[Response]]


def driver_for(settings: Settings) -> Driver:
    """Return the driver of the database that the settings name."""
    path = settings.sqlite_path
    if path is not None:
        from dragoman.store.drivers.sqlite import SqliteDriver

        return SqliteDriver(path)
    from dragoman.store.drivers.postgres import PostgresDriver

    return PostgresDriver(settings.database)


def enabled_contracts(settings: Settings) -> tuple[str, ...]:
    """Return the contracts to serve, in order; raises SettingsError for one that is not there."""
    names = settings.contracts or dialects.NAMES
    wanted = {*names, *settings.hosts.values()}
    unknown = sorted(wanted - set(dialects.NAMES))
    if unknown:
        available = ", ".join(dialects.NAMES)
        raise SettingsError([f"no such contract: {', '.join(unknown)} (there are: {available})"])
    disabled = sorted(set(settings.hosts.values()) - set(names))
    if disabled:
        raise SettingsError([f"DRAGOMAN_HOSTS names contracts that are off: {', '.join(disabled)}"])
    return tuple(names)


def credential_format(contract_name: str) -> CredentialFormat:
    """Return how a served contract's credentials look."""
    return dialects.load(contract_name).CONTRACT.credential_format


async def migrate_and_bootstrap(settings: Settings) -> FirstAdmin | None:
    """Migrate the database and bring an empty one to life; returns a new first superadmin."""
    settings = with_server_key(settings)
    enabled_contracts(settings)
    await migrate.upgrade(settings.database)
    async with open_directory(settings) as directory:
        return await bootstrap.bootstrap(directory)


@contextlib.asynccontextmanager
async def open_directory(settings: Settings) -> AsyncGenerator[Directory]:
    """Open a directory for a while (the command line, the first start)."""
    settings = with_server_key(settings)
    driver = driver_for(settings)
    await driver.open()
    directory = Directory(driver, settings)
    try:
        yield directory
    finally:
        directory.password_hasher.close()
        await driver.close()


def create(settings: Settings | None = None, *, workers: int = 1) -> ContractDispatcher:
    """Return the whole service as one ASGI application; its life cycle opens the database.

    It begins without a database that cannot serve now, and answers 503 until that can.
    Raises SettingsError.
    """
    settings = with_server_key(settings or load())
    logs.configure(settings.log_level)
    driver = driver_for(settings)
    directory = Directory(driver, settings, workers=workers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        try:
            await driver.open()
        except Unavailable:  # it was there before: whoever began then is answering 503 as well
            logs.log.warning("database_away")
        background_task = asyncio.create_task(background.run(directory))
        try:
            yield
        finally:
            background_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await background_task
            await background.flush(directory)
            directory.password_hasher.close()
            await driver.close()

    mounted: dict[str, MountedContract] = {}
    for name in enabled_contracts(settings):
        dialect: Any = dialects.load(name)
        app = dialect.build(directory)
        scheme = dialect.CONTRACT.scheme
        mounted[name] = MountedContract(app, dialect.DOCUMENTED, scheme, app.route_infos)
    routes = [*health.routes(directory, migrate.HEAD_REVISION), *jwks.routes(directory)]
    shared_app = Starlette(
        routes=[*routes, Route("/", _index_endpoint(settings, mounted))],
        exception_handlers={HTTPException: _handle_http_exception},
        middleware=[Middleware(SecurityHeadersMiddleware)],
        lifespan=lifespan,
    )
    shared_app.router.redirect_slashes = False
    return ContractDispatcher(
        shared_app, mounted, settings.hosts, partial(tokens.issuing_contract, directory)
    )


def _index_endpoint(settings: Settings, mounted: Mapping[str, MountedContract]) -> RequestHandler:
    base_urls = {name: f"{settings.public_url}/{name}/" for name in mounted}

    async def index(_: Request) -> Response:
        return JSONResponse({"name": "Dragoman", "contracts": base_urls})

    return index


async def _handle_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
