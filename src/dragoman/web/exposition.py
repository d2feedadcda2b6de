"""/metrics: the metrics of the whole server, in the formats of Prometheus and OpenMetrics."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import dragoman
from dragoman.actions.directory import Directory
from dragoman.actions.metrics import publish_queues
from dragoman.actions.system import system_actor
from dragoman.metrics import MetricDefinition, Metrics, Series
from dragoman.rules.errors import DirectoryError
from dragoman.rules.model import SECOND
from dragoman.store import diagnostics
from dragoman.store.diagnostics import OutboxInfo
from dragoman.web.logs import log

CACHE_S = 10.0
"""How long what the database says is used for further scrapes (seconds)."""
RETRY_S = 1.0
"""When the database is asked again after it did not answer (seconds)."""
MAX_AGE_S = 60.0
"""How long it is used if the database does not answer meanwhile (seconds)."""
MAX_WAIT_S = 0.5
"""How long a scrape waits for the database (seconds)."""


def routes(directory: Directory) -> list[Route]:
    """Return the route of /metrics."""
    database = DatabaseMetrics(directory)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SharedMetrics(directory.metrics))
    registry.register(database)
    registry.register(_Processes(directory.metrics))
    registry.register(_BuildInfo(directory))

    async def metrics(request: Request) -> Response:
        publish_queues(directory.metrics, directory.queues)
        await database.refresh()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]


class _SharedMetrics(Collector):
    """What the workers count."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for definition, series in self._metrics.read():
            yield _as_metric(definition, series)


def _as_metric(definition: MetricDefinition, series: Iterable[Series]) -> Metric:
    labels = tuple(definition.labels)
    if definition.kind == "histogram":
        histogram = HistogramMetricFamily(definition.name, definition.help, labels=labels)
        bounds = [floatToGoString(bound) for bound in definition.buckets]
        for label_values, (*counts, total) in series:
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            histogram.add_metric(label_values, buckets, total)
        return histogram
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    metric = kind(definition.name, definition.help, labels=labels)
    for label_values, (value,) in series:
        metric.add_metric(label_values, value)
    return metric


class _Facts(msgspec.Struct, frozen=True):
    """What the database says: the size is in bytes, the age is that of ``time.monotonic()``."""

    size: int
    outbox: OutboxInfo
    read_at: float


class DatabaseMetrics(Collector):
    """What the database says; while it does not answer, /metrics is served all the same."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._facts: _Facts | None = None
        self._is_up = False
        self._is_slow = False
        self._ask_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Ask the database, unless that was done lately; wait a moment for its answer."""
        if self._task is None or self._task.done():
            if time.monotonic() < self._ask_at:
                return
            self._task = asyncio.create_task(self._ask())
        if not self._is_slow:
            await asyncio.wait({self._task}, timeout=MAX_WAIT_S)
            self._is_slow = not self._task.done()

    async def _ask(self) -> None:
        read = self._directory.read(system_actor("metrics"))
        started = time.monotonic()
        try:
            size = await diagnostics.database_size(read, self._directory.settings.sqlite_path)
            outbox = await diagnostics.outbox_info(read)
            self._facts = _Facts(size, outbox, time.monotonic())
            self._is_up = True
        except DirectoryError:
            self._is_up = False
        except Exception:  # noqa: BLE001 - a bug here must not hide the other metrics
            self._is_up = False
            log.exception("bug", where="metrics")
        now = time.monotonic()
        self._is_slow = now - started > MAX_WAIT_S
        self._ask_at = now + (CACHE_S if self._is_up else RETRY_S)

    def collect(self) -> Iterator[Metric]:
        """Yield what is known."""
        yield GaugeMetricFamily(
            "dragoman_database_up", "Whether the database answers.", value=self._is_up
        )
        facts = self._facts
        if facts is None or time.monotonic() - facts.read_at > MAX_AGE_S:
            return
        yield GaugeMetricFamily(
            "dragoman_database_size_bytes",
            "Size of the database, with SQLite's write-ahead log.",
            value=facts.size,
        )
        messages = GaugeMetricFamily(
            "dragoman_outbox_messages", "Mails that are not sent.", labels=["state"]
        )
        messages.add_metric(["pending"], facts.outbox.pending)
        messages.add_metric(["failed"], facts.outbox.failed)
        yield messages
        if facts.outbox.oldest_at:
            yield GaugeMetricFamily(
                "dragoman_outbox_oldest_pending_timestamp_seconds",
                "When the oldest pending mail was written, if there is one.",
                value=facts.outbox.oldest_at / SECOND,
            )


class _Processes(Collector):
    """The standard metrics of processes, for the main process and each worker (Linux only)."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._pid = 0
        self._collector = ProcessCollector(pid=lambda: self._pid, registry=None)

    def collect(self) -> Iterator[Metric]:
        replacements = CounterMetricFamily(
            "dragoman_worker_replacements",
            "How often a worker was replaced, because it crashed, hung or was killed.",
            labels=["worker"],
        )
        processes = {"main": self._metrics.main_pid}
        for number, (pid, started) in enumerate(self._metrics.processes(), 1):
            replacements.add_metric([str(number)], max(0, started - 1))
            if pid == self._metrics.main_pid:  # the server has one process only
                del processes["main"]
            processes[f"worker-{number}"] = pid
        yield replacements
        found: dict[str, Metric] = {}
        for name, pid in processes.items():
            self._pid = pid
            for metric in self._collector.collect() if pid else ():
                labelled = found.setdefault(
                    metric.name, Metric(metric.name, metric.documentation, metric.type)
                )
                for sample in metric.samples:
                    labelled.add_sample(sample.name, {"process": name}, sample.value)
        yield from found.values()


class _BuildInfo(Collector):
    """What runs here."""

    def __init__(self, directory: Directory) -> None:
        self._labels = {
            "version": dragoman.__version__,
            "python": platform.python_version(),
            "database": "postgresql" if directory.settings.sqlite_path is None else "sqlite",
        }

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "dragoman_build_info", "What runs here; the value is 1.", labels=list(self._labels)
        )
        info.add_metric(list(self._labels.values()), 1)
        yield info
