"""Is the process alive, is the directory ready, and the figures of both."""

from __future__ import annotations

import time
from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable

REQUESTS = Counter("dragoman_requests", "Answered requests.", ["contract", "method", "status"])
SECONDS = Histogram(
    "dragoman_request_seconds",
    "How long an answer took.",
    ["contract"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
HASHES_WAITING = Gauge("dragoman_hashes_waiting", "Password hashes running or waiting.")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(contract: str, method: str, status: int, began: float) -> None:
    """Count one answered request that began at ``time.perf_counter()``."""
    _requests(contract, method if method in _METHODS else "other", status).inc()
    _seconds(contract).observe(time.perf_counter() - began)


@cache
def _requests(contract: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(contract, method, str(status))


@cache
def _seconds(contract: str) -> Histogram:
    return SECONDS.labels(contract)


def routes(directory: Directory, head: str) -> list[Route]:
    """Return /healthz, /readyz and /metrics; ``head`` is the migration this code wants.

    A database that is ahead is served as well: migrations only add, so that the nodes of the
    version before go on while those of the next one start.
    """

    async def alive(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        try:
            version = await directory.database.driver.alive()
        except Unavailable:
            return _not_ready("database")
        return JSONResponse({"status": "ready"}) if version >= head else _not_ready("migrations")

    async def metrics(_: Request) -> Response:
        HASHES_WAITING.set(directory.hashing.gate.inside)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/metrics", metrics),
    ]


def _not_ready(what: str) -> Response:
    body = {"status": "not ready", "what": what}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "2"})
