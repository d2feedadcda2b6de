"""Metrics in shared memory: what workers count is added up, and survives them."""

from __future__ import annotations

import math
import os

import pytest

from dragoman.metrics import MetricDefinition, Metrics

COUNTER = MetricDefinition("seen_total", "counter", "Seen.", {"colour": ("red", "blue")})
GAUGE = MetricDefinition("inside", "gauge", "Inside.")
RARE = MetricDefinition(
    "rare_total", "counter", "Rare.", {"a": ("x", "y"), "b": ("1", "2", "3")}, sparse=True
)
TIMES = MetricDefinition("times", "histogram", "Times.", buckets=(1.0, math.inf), sparse=True)


def made(workers: int = 1) -> Metrics:
    return Metrics((COUNTER, GAUGE, RARE, TIMES), workers)


def values(metrics: Metrics) -> dict[tuple[str, ...], list[float]]:
    return {
        (definition.name, *labels): numbers
        for definition, series in metrics.read()
        for labels, numbers in series
    }


def test_workers_are_added_up() -> None:
    metrics = made(workers=3)
    for worker in range(3):
        metrics.attach(worker)
        metrics.count("seen_total", "blue")
        metrics.set("inside", 10 + worker)
    assert values(metrics) == {
        ("seen_total", "red"): [0],
        ("seen_total", "blue"): [3],
        ("inside",): [33],
    }


def test_a_replaced_worker_goes_on_with_its_counters_and_begins_its_gauges_anew() -> None:
    metrics = made(workers=2)
    for worker in (0, 1, 0):
        metrics.attach(worker)
        metrics.start()
        metrics.count("seen_total", "red")
        metrics.set("inside", 5)
    metrics.attach(0)
    assert values(metrics)["seen_total", "red"] == [3]
    assert values(metrics)["inside",] == [5]  # of the other worker
    assert metrics.processes() == [(os.getpid(), 2), (os.getpid(), 1)]


def test_only_what_was_counted_is_read_of_many_combinations() -> None:
    metrics = made()
    metrics.count("rare_total", "y", "2")
    begin = metrics.position("times")
    for place, value in enumerate((1, 2, 7.5)):
        metrics.values[begin + place] += value
    found = values(metrics)
    assert {key: n for key, n in found.items() if key[0] in {"rare_total", "times"}} == {
        ("rare_total", "y", "2"): [1],
        ("times",): [1, 2, 7.5],
    }


@pytest.mark.parametrize("labels", [(), ("green",), ("red", "blue")])
def test_a_label_has_the_declared_values_only(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"zip|not in"):
        made().count("seen_total", *labels)


def test_a_forked_process_writes_into_the_same_memory() -> None:
    metrics = made(workers=2)
    metrics.count("seen_total", "red")
    pid = os.fork()
    if not pid:
        metrics.attach(1)
        metrics.count("seen_total", "red")
        os._exit(0)
    os.waitpid(pid, 0)
    assert values(metrics)["seen_total", "red"] == [2]
