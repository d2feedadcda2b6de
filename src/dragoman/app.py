"""Puts the application together: settings, store, dialects and dispatcher."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from dragoman import dialects, shared_windows
from dragoman import settings as settings_module
from dragoman.actions import metrics as action_metrics
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.actions.explain import ExplainedContract
from dragoman.actions.system import system_actor
from dragoman.dispatch import ContractDispatcher, MountedContract, removable_sub_path
from dragoman.jobs import background, bootstrap
from dragoman.jobs.bootstrap import FirstAdmin
from dragoman.metrics import Metrics
from dragoman.rules.credentials import CredentialFormat
from dragoman.rules.errors import Unavailable
from dragoman.rules.vocabulary import Restrictions
from dragoman.server_key import with_server_key
from dragoman.settings import ContractSettings, Settings, SettingsError, with_public_url
from dragoman.store import migrate, server_state
from dragoman.store.drivers import driver_for
from dragoman.store.transaction import Read
from dragoman.web import account_pages, exposition, health, index, jwks, logs
from dragoman.web import metrics as web_metrics
from dragoman.web.cors import CorsMiddleware
from dragoman.web.metrics import NO_CONTRACT, RequestCounter
from dragoman.web.responses import SecurityHeadersMiddleware


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of this process, including those of dialects. Raises SettingsError."""
    return settings_module.load(environ, declared_settings())


def declared_settings() -> tuple[type[ContractSettings], ...]:
    """Return the classes of the settings that dialects declare."""
    return dialects.declared_settings()


def enabled_contracts(settings: Settings) -> tuple[str, ...]:
    """Return the contracts to serve, in order. Raises SettingsError for unknown ones."""
    names = settings.contracts or dialects.NAMES
    wanted = {*names, *settings.hosts.values()}
    unknown = sorted(wanted - set(dialects.NAMES))
    if unknown:
        available = ", ".join(dialects.NAMES)
        raise SettingsError([f"unknown contract: {', '.join(unknown)} (available: {available})"])
    disabled = sorted(set(settings.hosts.values()) - set(names))
    if disabled:
        raise SettingsError([f"DRAGOMAN_HOSTS: contract not served: {', '.join(disabled)}"])
    return tuple(names)


def credential_format(contract_name: str) -> CredentialFormat:
    """Return the format of a served contract's credentials."""
    return dialects.load(contract_name).CONTRACT.credential_format


def restrictions(contract_name: str) -> Restrictions:
    """Return how a served contract restricts the policy."""
    return dialects.load(contract_name).CONTRACT.restrictions


def import_columns() -> dict[str, str]:
    """Return the names that the contracts have for fields of users, for imports."""
    return dialects.import_columns()


def explained_contracts(
    settings: Settings, *, served_only: bool = False
) -> list[ExplainedContract]:
    """Return what ``actions.explain`` has to know of every contract, or of those that are served."""
    served = enabled_contracts(settings)
    names = served if served_only else dialects.NAMES
    contracts = [dialects.load(name).CONTRACT for name in names]
    return [
        ExplainedContract(
            name=contract.name,
            served=contract.name in served,
            restrictions=contract.restrictions,
            sign_in=contract.sign_in,
        )
        for contract in contracts
    ]


def mail_links() -> dict[str, str]:
    """Return the path of the page that a mail's link opens, by the kind of the mail."""
    return {**dialects.mail_links(), **account_pages.MAIL_LINKS}


async def migrate_and_bootstrap(
    settings: Settings, *, address: str = "", report: Callable[[str], None] = migrate.no_report
) -> FirstAdmin | None:
    """Migrate the database and fill an empty one. Return the first superadmin if it was created.

    ``address`` is where the server will listen, if one starts.
    ``report`` is called with lines about a migration that takes long (see ``migrate.upgrade``).
    """
    settings = with_server_key(settings)
    enabled_contracts(settings)
    await migrate.upgrade(settings.database, report=report)
    async with open_directory(settings) as directory:
        return await bootstrap.bootstrap(directory, address)


@contextlib.asynccontextmanager
async def open_directory(settings: Settings) -> AsyncGenerator[Directory]:
    """Open a directory for the length of a block (command line, first start)."""
    settings = with_server_key(settings)
    driver = driver_for(settings)
    await driver.open()
    try:
        if not settings.public_url:
            read = Read(driver, system_actor("settings"))
            last_served = await server_state.find(read, server_state.PUBLIC_URL)
            settings = with_public_url(settings, last_served or "")
        directory = Directory(driver, settings, mail_links=mail_links())
        try:
            yield directory
        finally:
            directory.password_hasher.close()
    finally:
        await driver.close()


def create_metrics(settings: Settings, *, workers: int = 1) -> Metrics:
    """Return the metrics of a server, whose memory the processes forked from this one share."""
    queues = (action_metrics.HASHING, *driver_for(settings).queues)
    contracts = [*enabled_contracts(settings), account_pages.NAME]
    if settings.console:
        from dragoman.console import contract as console

        contracts.append(console.NAME)
    return Metrics(
        (*action_metrics.definitions(queues), *web_metrics.definitions(contracts)), workers
    )


def create(
    settings: Settings | None = None, *, workers: int = 1, metrics: Metrics | None = None
) -> ASGIApp:
    """Return the whole service as one ASGI application, whose lifespan opens the database.

    It starts even if the database is unavailable, and then answers 503 until it is back.

    Args:
        settings: the settings; by default those of this process.
        workers: the number of worker processes that share this machine's cores.
        metrics: of ``create_metrics``, attached to this process; by default its own.

    Raises:
        SettingsError: a setting is wrong, or a contract is unknown.
    """
    settings = with_server_key(settings or load_settings())
    logs.configure(settings.log_level, settings.log_format)
    metrics = metrics or create_metrics(settings)
    metrics.start()
    driver = driver_for(settings)
    directory = Directory(
        driver, settings, workers=workers, mail_links=mail_links(), metrics=metrics
    )

    mounted = {name: _mount(directory, name) for name in enabled_contracts(settings)}
    shared_app = Starlette(
        routes=[
            *_shared_routes(directory),
            index.route(directory.settings, mounted),
        ],
        exception_handlers={HTTPException: _handle_http_exception},
        middleware=[Middleware(SecurityHeadersMiddleware)],
        lifespan=partial(_lifespan, directory),
    )
    shared_app.router.redirect_slashes = False
    counter = RequestCounter(metrics, NO_CONTRACT)
    dispatcher = ContractDispatcher(
        shared_app,
        mounted,
        settings.hosts,
        partial(tokens.issuing_contract, directory),
        counter,
        removable_sub_path(directory.settings.public_url, mounted),
    )
    if not settings.cors_origins:
        return dispatcher
    return CorsMiddleware(
        dispatcher, settings.cors_origins, dispatcher.cross_origin_methods, counter
    )


@contextlib.asynccontextmanager
async def _lifespan(directory: Directory, _: Starlette) -> AsyncGenerator[None]:
    try:
        await directory.driver.open()
    except Unavailable:  # it was migrated before the workers started: wait for its return
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
        await shared_windows.close()
        await directory.driver.close()


def _mount(directory: Directory, name: str) -> MountedContract:
    dialect = dialects.load(name)
    app = dialect.build(directory)
    scheme = dialect.CONTRACT.scheme
    return MountedContract(app, dialect.DOCUMENTED_PATHS, scheme, app.route_infos)


def _shared_routes(directory: Directory) -> list[BaseRoute]:
    """Return the routes of what is served beside the contracts."""
    routes = [
        *health.routes(directory, migrate.HEAD_REVISION),
        *exposition.routes(directory),
        *jwks.routes(directory),
        *account_pages.routes(directory),
    ]
    if directory.settings.console:
        from dragoman.console import routes as console

        routes += console.routes(
            directory, explained_contracts(directory.settings, served_only=True)
        )
    return routes


async def _handle_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
