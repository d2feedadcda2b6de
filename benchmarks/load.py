"""Closed-loop load generator without dependencies: one request at a time on each connection.

``python -m benchmarks.load`` reads a LoadPlan as JSON from standard input, sends requests to a
server on this machine, and writes a Measurement as JSON. It runs in its own process, and reports
how busy it was: near 1.0 it measures itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from itertools import count, cycle
from time import perf_counter, process_time
from typing import Any

import msgspec
import uvloop

from benchmarks.http_codec import (
    NUMBER_PLACEHOLDER,
    RequestSpec,
    ResponseReader,
    address_of,
    unique_text,
)

GRACE_S = 30.0
"""Seconds to wait for outstanding responses at the end; later ones have failed."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: ``requests`` in turn, on ``connections``, for ``seconds`` after a warm-up.

    Every response must have this ``status``. With ``follow_next``, a client requests the ``next``
    link of each response, starts with one of ``requests`` again at the end of a list, and only
    requests of links count.
    """

    url: str
    requests: list[RequestSpec]
    connections: int
    seconds: float
    warm_up: float
    status: int = 200
    follow_next: bool = False
    salt: str = "00000"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Result: requests per second, latencies in milliseconds, failures by kind.

    ``refused`` are 503 with ``Retry-After``; they count neither as answers nor as failures.
    ``answered`` includes the warm-up. ``server_us`` is the CPU time of the server's processes per
    answer, in microseconds; the caller adds it.
    """

    rate: float
    median_ms: float
    p99_ms: float
    requests: int
    answered: int
    failures: dict[str, int]
    refused: int
    generator_busy: float
    server_us: float = 0.0


class Run:
    """The requests of a run, and counts of their responses."""

    def __init__(self, plan: LoadPlan) -> None:
        self.host = "{}:{}".format(*address_of(plan.url))
        self.plan = plan
        self.status = str(plan.status).encode()
        self._requests = cycle([request.encode(self.host) for request in plan.requests])
        self._numbers = count()
        self._numbered = any(NUMBER_PLACEHOLDER in request.body for request in plan.requests)
        self.began = perf_counter() + plan.warm_up
        self.end = self.began + plan.seconds
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.answered = 0
        self.refused = 0
        self.failures: Counter[str] = Counter()

    def request(self) -> bytes:
        """Return the next request."""
        request = next(self._requests)
        if self._numbered:
            number = unique_text(self.plan.salt, next(self._numbers))
            return request.replace(NUMBER_PLACEHOLDER.encode(), number.encode())
        return request

    def next_request(self, path: str) -> bytes:
        """Return a request for the path of a ``next`` link."""
        return msgspec.structs.replace(self.plan.requests[0], path=path).encode(self.host)

    def record(self, sent: float, at: float, answer: ResponseReader, *, counts: bool) -> None:
        """Count a response: its latency if it arrived in the measured time, its failure always."""
        self.answered += 1
        if answer.status == b"503" and b"\r\nretry-after:" in answer.head:
            self.refused += 1
        elif answer.status != self.status:
            self.failures[answer.status.decode("latin-1")] += 1
        elif counts and self.began <= at:
            (self.latencies if at <= self.end else self.late).append(at - sent)


class Client(asyncio.Protocol):
    """A connection that sends a request, reads the response, and repeats."""

    def __init__(self, run: Run) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._transport: Any = None
        self._reader = ResponseReader(keep=run.plan.follow_next)
        self._counts = not run.plan.follow_next
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send(self._run.request())

    def data_received(self, data: bytes) -> None:
        """Read a part of a response; send the next request when it is complete."""
        if not self._reader.feed(data):
            return
        at = perf_counter()
        self._run.record(self._sent, at, self._reader, counts=self._counts)
        if at > self._run.end:
            self.done.set_result(None)
            self._transport.close()
        elif self._run.plan.follow_next and (path := self._reader.next_path()):
            self._counts = True
            self._send(self._run.next_request(path))
        else:
            self._counts = not self._run.plan.follow_next
            self._send(self._run.request())

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an unexpected end of the connection as a failure."""
        if not self.done.done():
            self._run.failures["connection lost"] += 1
            self.done.set_result(None)

    def _send(self, request: bytes) -> None:
        self._sent = perf_counter()
        self._transport.write(request)


async def measure(plan: LoadPlan) -> Measurement:
    """Run a plan against a server on this machine."""
    run, loop = Run(plan), asyncio.get_running_loop()
    busy, clients = process_time(), list[Client]()
    try:
        for _ in range(plan.connections):
            _, client = await loop.create_connection(lambda: Client(run), *address_of(plan.url))
            clients.append(client)
    except OSError:
        run.failures["no connection"] += plan.connections - len(clients)
    took = perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(plan.warm_up + plan.seconds + GRACE_S):
            await asyncio.gather(*(client.done for client in clients), return_exceptions=True)
    late = sum(client.done.cancelled() for client in clients)
    if late:
        run.failures["no answer"] += late
    busy, took = process_time() - busy, perf_counter() - took
    rate = len(run.latencies) / plan.seconds
    if not run.latencies and run.late:  # every response took longer than the measurement
        run.latencies = run.late
        rate = len(run.late) / max(run.late)
    ranked = sorted(run.latencies) or [0.0]
    return Measurement(
        rate=round(rate, 2),
        median_ms=round(ranked[len(ranked) // 2] * 1000, 2),
        p99_ms=round(ranked[len(ranked) * 99 // 100] * 1000, 2),
        requests=len(run.latencies),
        answered=run.answered,
        failures=dict(run.failures),
        refused=run.refused,
        generator_busy=round(busy / max(took, plan.seconds), 2),
    )


def main() -> None:
    """Read a plan, run it, write the measurement."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadPlan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(plan))))


if __name__ == "__main__":
    main()
