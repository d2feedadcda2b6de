"""Health endpoints: liveness and readiness."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.actions.steps import key_check
from dragoman.actions.system import system_actor
from dragoman.rules.errors import Unavailable
from dragoman.store import diagnostics, server_state


def routes(directory: Directory, required_revision: str) -> list[Route]:
    """Return the routes of /healthz and /readyz.

    /readyz requires a database at migration ``required_revision`` or newer: migrations only add,
    so nodes of the previous version keep working while those of the next one start. It also
    requires every table and column that this program knows, and the database's server key.
    """

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        try:
            problem = await _find_problem(directory, required_revision)
            return _not_ready(problem) if problem else await _ready(directory)
        except Unavailable:
            return _not_ready("database")

    return [
        Route("/healthz", alive),
        Route("/readyz", ready),
    ]


async def _find_problem(directory: Directory, required_revision: str) -> str:
    """Return what keeps this process from serving, or ""; raises Unavailable."""
    if await directory.driver.current_revision() < required_revision:
        return "migrations"
    read = directory.read(system_actor("readiness"))
    sqlite = directory.settings.sqlite_path is not None
    if await diagnostics.missing_columns(read, sqlite=sqlite):
        return "tables"
    return "server key" if await key_check.matches(read, directory) is False else ""


async def _ready(directory: Directory) -> Response:
    """Answer with the directory's random id too, by which ``dragoman doctor`` knows it."""
    instance = await server_state.find(
        directory.read(system_actor("readiness")), server_state.INSTANCE
    )
    return JSONResponse({"status": "ready"} | ({"directory": instance} if instance else {}))


def _not_ready(component: str) -> Response:
    body = {"status": "not ready", "what": component}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "2"})
