"""Counters, gauges and histograms in memory that all worker processes of a server share.

The main process makes the memory and forked workers inherit it: no file is made, and nothing is
left behind however the server ends. Each worker writes into a part of its own, so nothing is
locked; a worker that replaces another one goes on with its counters. Readers add the parts up.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

_VALUE_BYTES = 8
_PID, _STARTS, _FIRST = 0, 1, 2
"""Positions in a worker's part: its process id, how often it was started, the first metric."""


class MetricDefinition(msgspec.Struct, frozen=True):
    """A metric, as Prometheus means it.

    Attributes:
        name: its name; that of a counter ends with ``_total``.
        kind: what it is. Gauges of all workers are added up.
        help: one sentence about it.
        labels: every value that each label can have: clients cannot add any.
        buckets: the upper bounds of a histogram, the last one infinite.
        sparse: leave out what was never counted, because there are many combinations of labels.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, tuple[str, ...]] = {}
    buckets: tuple[float, ...] = ()
    sparse: bool = False

    @property
    def width(self) -> int:
        """The number of values for each combination of labels; a histogram's sum is the last."""
        return len(self.buckets) + 1 if self.kind == "histogram" else 1

    @property
    def size(self) -> int:
        """The number of values for all combinations of labels."""
        return math.prod(map(len, self.labels.values())) * self.width


Series = tuple[tuple[str, ...], list[float]]
"""The values of the labels, and the values: of a histogram those of its buckets, then the sum."""


class Metrics:
    """The values of metrics in every worker.

    Args:
        definitions: the metrics.
        workers: the number of worker processes.
    """

    def __init__(self, definitions: Iterable[MetricDefinition], workers: int = 1) -> None:
        self._definitions: dict[str, tuple[MetricDefinition, int]] = {}
        end = _FIRST
        for definition in definitions:
            self._definitions[definition.name] = definition, end
            end += definition.size
        self._end = end
        self._memory = memoryview(mmap.mmap(-1, end * workers * _VALUE_BYTES)).cast("d")
        self.main_pid = os.getpid()
        """The process that made the memory."""
        self.attach(0)

    def attach(self, worker: int) -> None:
        """Write into the part of a worker from now on; its counters go on, its gauges begin anew."""
        begin = worker * self._end
        self.values = self._memory[begin : begin + self._end]
        """This worker's values, to be changed by the thread of the event loop alone."""
        for definition, start in self._definitions.values():
            if definition.kind == "gauge":
                for position in range(start, start + definition.size):
                    self.values[position] = 0

    def start(self) -> None:
        """Note that this process is the worker of its part."""
        self.values[_PID] = os.getpid()
        self.values[_STARTS] += 1

    def position(self, name: str, *labels: str) -> int:
        """Return where a metric's values begin in ``values``, for these values of its labels.

        Raises KeyError for an unknown metric, and ValueError for a value that a label cannot have,
        as the methods below do.
        """
        definition, begin = self._definitions[name]
        index = 0
        for known, value in zip(definition.labels.values(), labels, strict=True):
            index = index * len(known) + known.index(value)
        return begin + index * definition.width

    def count(self, name: str, *labels: str) -> None:
        """Add one to a counter."""
        self.values[self.position(name, *labels)] += 1

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self.values[self.position(name, *labels)] = value

    def processes(self) -> list[tuple[int, int]]:
        """Return the process id of each worker (0: not started yet), and how often it was started."""
        parts = range(0, len(self._memory), self._end)
        return [(int(self._memory[p + _PID]), int(self._memory[p + _STARTS])) for p in parts]

    def read(self) -> Iterator[tuple[MetricDefinition, list[Series]]]:
        """Yield each metric with its series; the values of all workers are added up."""
        copied: list[float] = list(self._memory)
        parts = [copied[begin : begin + self._end] for begin in range(0, len(copied), self._end)]
        totals: list[float] = [sum(values) for values in zip(*parts, strict=True)]
        for definition, begin in self._definitions.values():
            values = totals[begin : begin + definition.size]
            yield definition, list(_series(definition, values))


def _series(definition: MetricDefinition, values: list[float]) -> Iterator[Series]:
    width = definition.width
    numbers = range(len(values) // width)
    if definition.sparse:  # most are zero: no work for those
        numbers = sorted({position // width for position, value in enumerate(values) if value})
    for number in numbers:
        labels: list[str] = []
        index = number
        for known in tuple(definition.labels.values())[::-1]:
            index, remainder = divmod(index, len(known))
            labels.append(known[remainder])
        yield tuple(reversed(labels)), values[number * width : (number + 1) * width]
