"""Metrics of requests: how many were answered, with which status, and how long it took."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman.metrics import MetricDefinition, Metrics

REQUESTS = "dragoman_http_requests_total"
DURATIONS = "dragoman_http_request_duration_seconds"
NO_CONTRACT = "none"
"""The contract of what belongs to none: health, metrics, unknown paths at the root."""
OTHER = "other"
"""What a client invents: a label has few values, or it would fill the memory."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STATUSES = tuple(str(status.value) for status in HTTPStatus)
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, math.inf)
_COUNTED = "dragoman.counted"
"""Is in the scope of a request that a resource has counted."""


def definitions(contracts: Iterable[str]) -> tuple[MetricDefinition, ...]:
    """Return the metrics of a server of these contracts."""
    labels = {"contract": (*contracts, NO_CONTRACT), "method": (*METHODS, OTHER)}
    return (
        MetricDefinition(
            REQUESTS,
            "counter",
            "Answered requests.",
            {**labels, "status": (*STATUSES, OTHER)},
            sparse=True,
        ),
        MetricDefinition(
            DURATIONS,
            "histogram",
            "Time from the end of a request's headers to the end of its answer.",
            labels,
            buckets=BUCKETS_S,
            sparse=True,
        ),
    )


class RequestCounter:
    """Counts the requests that a contract answers; only the event loop's thread may do so.

    Args:
        metrics: the metrics, which have those of ``definitions``.
        contract: the contract's name.
    """

    def __init__(self, metrics: Metrics, contract: str) -> None:
        self._metrics = metrics
        self._contract = contract
        self._values = metrics.values
        self._positions: dict[tuple[str, int], tuple[int, int]] = {}

    def observe(self, scope: Scope, status: int, started: float) -> None:
        """Count one request.

        Args:
            scope: the request.
            status: the status of the response.
            started: ``time.perf_counter()`` at the beginning of the request (seconds).
        """
        seconds = time.perf_counter() - started
        scope[_COUNTED] = True
        found = self._positions.get((scope["method"], status))
        number, durations = found or self._find_positions(scope["method"], status)
        values = self._values
        values[number] += 1
        values[durations + bisect_left(BUCKETS_S, seconds)] += 1
        values[durations + len(BUCKETS_S)] += seconds

    def _find_positions(self, method: str, status: int) -> tuple[int, int]:
        method = method if method in METHODS else OTHER
        status_label = str(status) if str(status) in STATUSES else OTHER
        number = self._metrics.position(REQUESTS, self._contract, method, status_label)
        durations = self._metrics.position(DURATIONS, self._contract, method)
        if method != OTHER:  # clients can invent any number of methods
            self._positions[method, status] = number, durations
        return number, durations


class CountedApp:
    """Counts the requests of an application that answers without a resource.

    Args:
        app: the application; what its resources answer is not counted twice.
        counter: counts.
    """

    def __init__(self, app: ASGIApp, counter: RequestCounter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            if status and _COUNTED not in scope:
                self._counter.observe(scope, status, started)
