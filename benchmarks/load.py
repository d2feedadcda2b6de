"""The load generator that needs nothing: some connections, one request at a time on each.

``python -m benchmarks.load`` reads a Plan as JSON from standard input, asks a server on this
machine for as long as the plan says, and writes a Measured as JSON. It runs in a process of its
own, so that its work is not the servers' work, and says how busy it was: near 1.0 it measures
itself.
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
"""How long an answer that is under way at the end is waited for; later, it has failed."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for: ``asks`` in turn, by ``connections`` clients, ``seconds`` after a warm-up.

    Every answer has to be of this ``status``. A client that ``follows`` asks for the ``next`` of
    its answer, at the end begins with one of ``asks`` again, and counts what it followed alone.
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
    """What came back: requests a second, latencies in milliseconds, what failed and how often.

    ``refused`` are answers 503 with ``Retry-After``, which count neither as answers nor as faults.
    ``answered`` counts the warm-up too. ``server_us`` is what the server's own processes worked
    for one answer, in microseconds: whoever asks for the measurement adds it.
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
    """One run's requests, and what is known of their answers."""

    def __init__(self, plan: LoadPlan) -> None:
        self.host = "{}:{}".format(*address_of(plan.url))
        self.plan = plan
        self.status = str(plan.status).encode()
        self._asks = cycle([ask.encode(self.host) for ask in plan.requests])
        self._numbers = count()
        self._numbered = any(NUMBER_PLACEHOLDER in ask.body for ask in plan.requests)
        self.began = perf_counter() + plan.warm_up
        self.end = self.began + plan.seconds
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.answered = 0
        self.refused = 0
        self.failures: Counter[str] = Counter()

    def request(self) -> bytes:
        """Return what to ask for next."""
        ask = next(self._asks)
        if self._numbered:
            number = unique_text(self.plan.salt, next(self._numbers))
            return ask.replace(NUMBER_PLACEHOLDER.encode(), number.encode())
        return ask

    def next_request(self, path: str) -> bytes:
        """Return the request of a link."""
        return msgspec.structs.replace(self.plan.requests[0], path=path).encode(self.host)

    def record(self, sent: float, at: float, answer: ResponseReader, *, counts: bool) -> None:
        """Count an answer: its latency if it came in the measured time, its fault in any case."""
        self.answered += 1
        if answer.status == b"503" and b"\r\nretry-after:" in answer.head:
            self.refused += 1
        elif answer.status != self.status:
            self.failures[answer.status.decode("latin-1")] += 1
        elif counts and self.began <= at:
            (self.latencies if at <= self.end else self.late).append(at - sent)


class Client(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, run: Run) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._transport: Any = None
        self._reader = ResponseReader(keep=run.plan.follow_next)
        self._counts = not run.plan.follow_next
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._ask(self._run.request())

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        if not self._reader.feed(data):
            return
        at = perf_counter()
        self._run.record(self._sent, at, self._reader, counts=self._counts)
        if at > self._run.end:
            self.done.set_result(None)
            self._transport.close()
        elif self._run.plan.follow_next and (path := self._reader.next_path()):
            self._counts = True
            self._ask(self._run.next_request(path))
        else:
            self._counts = not self._run.plan.follow_next
            self._ask(self._run.request())

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it where nobody expected it."""
        if not self.done.done():
            self._run.failures["connection lost"] += 1
            self.done.set_result(None)

    def _ask(self, request: bytes) -> None:
        self._sent = perf_counter()
        self._transport.write(request)


async def measure(plan: LoadPlan) -> Measurement:
    """Carry out a plan against a server on this machine."""
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
    if not run.latencies and run.late:  # slower than a measurement is long
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
    """Read a plan, carry it out, write what was measured."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadPlan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(plan))))


if __name__ == "__main__":
    main()
