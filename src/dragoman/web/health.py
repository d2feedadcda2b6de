"""Is the process alive, is the directory ready, and the figures of both."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, math.inf)


class Answers(Collector):
    """What was answered, and how long it took: plain numbers, as one thread alone counts."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._within: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(BOUNDS_S))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, contract: str, method: str, status: int, began: float) -> None:
        """Count one more, which began at ``time.perf_counter()``."""
        seconds = time.perf_counter() - began
        known = method if method in _METHODS else "other"
        self._requests[contract, known, status] += 1
        self._within[contract][bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[contract] += seconds

    def collect(self) -> Iterator[Metric]:
        """Give the figures to whoever writes them down."""
        labels = ["contract", "method", "status"]
        requests = CounterMetricFamily("dragoman_requests", "Answered requests.", labels=labels)
        for (contract, method, status), number in self._requests.items():
            requests.add_metric([contract, method, str(status)], number)
        yield requests
        seconds = HistogramMetricFamily(
            "dragoman_request_seconds", "How long an answer took.", labels=["contract"]
        )
        for contract, counts in self._within.items():
            buckets = [
                (floatToGoString(bound), number)
                for bound, number in zip(BOUNDS_S, accumulate(counts), strict=True)
            ]
            seconds.add_metric([contract], buckets, self._seconds[contract])
        yield seconds


ANSWERS = Answers()
REGISTRY.register(ANSWERS)
HASHES_WAITING = Gauge("dragoman_hashes_waiting", "Password hashes running or waiting.")


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
