"""Prometheus metrics: requests, their duration, and waiting password hashes."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, math.inf)


class RequestMetrics(Collector):
    """Counts requests and their duration without locks: only the event loop's thread counts."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._bucket_counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS_S))
        self._total_seconds: defaultdict[str, float] = defaultdict(float)

    def observe(self, contract: str, method: str, status: int, started: float) -> None:
        """Count one request.

        Args:
            contract: the contract that answered.
            method: the HTTP method.
            status: the status of the response.
            started: ``time.perf_counter()`` at the beginning of the request (seconds).
        """
        seconds = time.perf_counter() - started
        method_label = method if method in _METHODS else "other"
        self._requests[contract, method_label, status] += 1
        self._bucket_counts[contract][bisect_left(BUCKETS_S, seconds)] += 1
        self._total_seconds[contract] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics for the Prometheus client."""
        labels = ["contract", "method", "status"]
        requests = CounterMetricFamily("dragoman_requests", "Answered requests.", labels=labels)
        for (contract, method, status), number in self._requests.items():
            requests.add_metric([contract, method, str(status)], number)
        yield requests
        seconds = HistogramMetricFamily(
            "dragoman_request_seconds", "How long an answer took.", labels=["contract"]
        )
        for contract, counts in self._bucket_counts.items():
            buckets = [
                (floatToGoString(bound), number)
                for bound, number in zip(BUCKETS_S, accumulate(counts), strict=True)
            ]
            seconds.add_metric([contract], buckets, self._total_seconds[contract])
        yield seconds


REQUEST_METRICS = RequestMetrics()
REGISTRY.register(REQUEST_METRICS)

HASHES_WAITING = Gauge("dragoman_hashes_waiting", "Password hashes running or waiting.")
