"""Metrics of the actions: sign-ins, and the queues in front of what is scarce."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping
from functools import partial

from dragoman.load_shedding import LoadShedder
from dragoman.metrics import MetricDefinition, Metrics
from dragoman.rules.errors import BadCredentials, RateLimited, Unavailable

HASHING = "hashing"
"""The name of the queue for password hashes; those for databases are named by their drivers."""
SIGN_INS = "dragoman_sign_ins_total"
REJECTIONS = "dragoman_queue_rejections_total"
RUNNING, WAITING = "dragoman_queue_running", "dragoman_queue_waiting"
CAPACITY = "dragoman_queue_capacity"


def definitions(queues: Iterable[str]) -> tuple[MetricDefinition, ...]:
    """Return the metrics of a directory with queues of these names."""
    by_queue = {"queue": tuple(queues)}
    return (
        MetricDefinition(
            SIGN_INS,
            "counter",
            "Attempts to sign in with a password, by how they ended.",
            {"result": ("succeeded", "failed", "limited", "unavailable")},
        ),
        MetricDefinition(
            REJECTIONS,
            "counter",
            "Callers that were rejected because they would have waited too long.",
            by_queue,
        ),
        MetricDefinition(RUNNING, "gauge", "Callers that are being served.", by_queue),
        MetricDefinition(WAITING, "gauge", "Callers that wait.", by_queue),
        MetricDefinition(
            CAPACITY, "gauge", "Callers that can be served at the same time.", by_queue
        ),
    )


@contextlib.contextmanager
def counted_sign_in(metrics: Metrics) -> Generator[None]:
    """Count the attempt to sign in that the block is."""
    try:
        yield
    except BadCredentials:
        metrics.count(SIGN_INS, "failed")
        raise
    except RateLimited:
        metrics.count(SIGN_INS, "limited")
        raise
    except Unavailable:
        metrics.count(SIGN_INS, "unavailable")
        raise
    metrics.count(SIGN_INS, "succeeded")


def watch_queues(metrics: Metrics, queues: Mapping[str, LoadShedder]) -> None:
    """Count what the queues reject from now on."""
    for name, queue in queues.items():
        queue.on_reject = partial(metrics.count, REJECTIONS, name)


def publish_queues(metrics: Metrics, queues: Mapping[str, LoadShedder]) -> None:
    """Note how long the queues of this process are now."""
    for name, queue in queues.items():
        metrics.set(RUNNING, min(queue.in_use, queue.capacity), name)
        metrics.set(WAITING, max(0, queue.in_use - queue.capacity), name)
        metrics.set(CAPACITY, queue.capacity, name)
