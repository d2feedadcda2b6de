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
from itertools import cycle
from time import perf_counter, process_time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

GRACE_S = 10.0
"""How long an answer that is under way at the end is waited for; later, it has failed."""
LOCAL = {"127.0.0.1", "::1", "localhost"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for: ``paths`` in turn, by ``connections`` clients, ``seconds`` after a warm-up."""

    url: str
    token: str
    paths: list[str]
    connections: int
    seconds: float
    warm_up: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: requests a second, latencies in milliseconds, what failed and how often.

    ``answered`` counts the warm-up too. ``server_us`` is what the server's own processes worked
    for one answer, in microseconds: whoever asks for the measurement adds it.
    """

    rate: float
    median_ms: float
    p99_ms: float
    requests: int
    answered: int
    failures: dict[str, int]
    generator_busy: float
    server_us: float = 0.0


class Run:
    """One run's requests, and what is known of their answers."""

    def __init__(self, plan: Plan) -> None:
        host = urlsplit(plan.url).netloc
        lines = (f"Host: {host}", f"Authorization: Token {plan.token}", "Accept: application/json")
        rest = "\r\n".join((" HTTP/1.1", *lines, "", "")).encode()
        self.requests = cycle([b"GET " + path.encode() + rest for path in plan.paths])
        self.began = perf_counter() + plan.warm_up
        self.end = self.began + plan.seconds
        self.latencies: list[float] = []
        self.answered = 0
        self.failures: Counter[str] = Counter()

    def note(self, sent: float, at: float, status: bytes) -> None:
        """Count an answer: its latency if it came in the measured time, its fault in any case."""
        self.answered += 1
        if status != b"200":
            self.failures[status.decode("latin-1")] += 1
        elif self.began <= at <= self.end:
            self.latencies.append(at - sent)


class Client(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, run: Run) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._transport: Any = None
        self._buffer = b""
        self._missing = 0
        self._status = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._buffer + data
            head = data.find(b"\r\n\r\n")
            if head < 0:
                self._buffer = data
                return
            self._buffer = b""
            self._status = data[9:12]
            self._missing = head + 4 + _length(data[:head]) - len(data)
        if self._missing > 0:
            return
        at = perf_counter()
        if self._missing < 0:
            self._status = b"answer longer than it said"
        self._run.note(self._sent, at, self._status)
        if at < self._run.end and not self._missing:
            self._ask()
        else:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it where nobody expected it."""
        if not self.done.done():
            self._run.failures["connection lost"] += 1
            self.done.set_result(None)

    def _ask(self) -> None:
        self._sent = perf_counter()
        self._transport.write(next(self._run.requests))

    def _finish(self) -> None:
        self.done.set_result(None)
        self._transport.close()


def _length(head: bytes) -> int:
    """Return the length of an answer's body; without one, this generator cannot read on."""
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return -1
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


async def measure(plan: Plan) -> Measured:
    """Carry out a plan against a server on this machine."""
    address = urlsplit(plan.url)
    if address.hostname not in LOCAL:
        raise ValueError("only servers on this machine are asked")
    run, loop = Run(plan), asyncio.get_running_loop()
    busy, clients = process_time(), list[Client]()
    try:
        for _ in range(plan.connections):
            _, client = await loop.create_connection(
                lambda: Client(run), address.hostname, address.port or 80
            )
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
    ranked = sorted(run.latencies) or [0.0]
    return Measured(
        rate=round(len(run.latencies) / plan.seconds, 1),
        median_ms=round(ranked[len(ranked) // 2] * 1000, 2),
        p99_ms=round(ranked[len(ranked) * 99 // 100] * 1000, 2),
        requests=len(run.latencies),
        answered=run.answered,
        failures=dict(run.failures),
        generator_busy=round(busy / max(took, plan.seconds), 2),
    )


def main() -> None:
    """Read a plan, carry it out, write what was measured."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(plan))))


if __name__ == "__main__":
    main()
