"""Open-loop load generator: a fixed number of requests per second, whether or not they are answered.

``python -m benchmarks.open_loop`` reads an OpenLoopPlan as JSON from standard input and writes an
OpenLoopResult. A latency counts from the moment at which its request was due, waiting included.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from itertools import cycle
from time import perf_counter
from typing import Any

import msgspec
import uvloop

from benchmarks.http_codec import RequestSpec, ResponseReader, address_of

GRACE_S = 5.0
TICK_S = 0.002


class OpenLoopPlan(msgspec.Struct, frozen=True, kw_only=True):
    """``rate`` requests per second for ``seconds``, on at most ``max_connections``."""

    url: str
    requests: list[RequestSpec]
    rate: float
    seconds: float
    max_connections: int = 1000


class OpenLoopResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of the requests: accepted (200), refused (503), or lost.

    ``in_time`` were accepted before the last one was due. ``without_retry_after`` are 503 without
    that header; ``unsent`` found no free connection, ``unanswered`` got no response before the
    end, ``resets`` lost their connection.
    """

    offered: int
    accepted: int
    in_time: int
    median_ms: float
    p99_ms: float
    refused: int
    refused_p99_ms: float
    without_retry_after: int
    resets: int
    unanswered: int
    unsent: int
    others: int

    @property
    def lost(self) -> int:
        """Requests that were neither accepted nor refused with ``Retry-After``."""
        return self.resets + self.unanswered + self.unsent + self.others + self.without_retry_after


class Outcomes:
    """Counts of the responses so far."""

    def __init__(self) -> None:
        self.accepted: list[float] = []
        self.refused: list[float] = []
        self.without_retry_after = self.resets = self.others = 0
        self.idle: list[OpenLoopConnection] = []
        self.in_time = 0
        self.end = 0.0


class OpenLoopConnection(asyncio.Protocol):
    """A connection with at most one outstanding request."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._reader = ResponseReader()
        self._transport: Any = None
        self._due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request; ``due`` is when it should have been sent."""
        self._due, self.busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read a part of a response; count it when it is complete."""
        if not self._reader.feed(data):
            return
        now, outcomes, self.busy = perf_counter(), self._outcomes, False
        took = now - self._due
        if self._reader.status == b"200":
            outcomes.accepted.append(took)
            outcomes.in_time += now <= outcomes.end
        elif self._reader.status == b"503":
            outcomes.refused.append(took)
            outcomes.without_retry_after += b"\r\nretry-after:" not in self._reader.head
        else:
            outcomes.others += 1
        outcomes.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an outstanding request as reset, and stop using the connection."""
        self._outcomes.resets += self.busy
        if self in self._outcomes.idle:
            self._outcomes.idle.remove(self)
        self.busy = False

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def measure(plan: OpenLoopPlan) -> OpenLoopResult:
    """Send the requests to a server on this machine and wait for their outcomes."""
    host, port = address_of(plan.url)
    requests = cycle([request.encode(f"{host}:{port}") for request in plan.requests])
    loop, outcomes, connections = asyncio.get_running_loop(), Outcomes(), list[OpenLoopConnection]()
    opening: set[asyncio.Task[None]] = set()
    unsent = done = 0

    async def send_on_new(due: float) -> None:
        try:
            _, connection = await loop.create_connection(
                lambda: OpenLoopConnection(outcomes), host, port
            )
        except OSError:
            outcomes.resets += 1
            return
        connections.append(connection)
        connection.send(next(requests), due)

    began = perf_counter()
    outcomes.end = began + plan.seconds
    while (now := perf_counter() - began) < plan.seconds:
        while done < now * plan.rate:
            due = began + done / plan.rate
            done += 1
            if outcomes.idle:
                outcomes.idle.pop().send(next(requests), due)
            elif len(connections) + len(opening) < plan.max_connections:
                task = loop.create_task(send_on_new(due))
                opening.add(task)
                task.add_done_callback(opening.discard)
            else:
                unsent += 1
        await asyncio.sleep(TICK_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            while opening or any(connection.busy for connection in connections):
                await asyncio.sleep(0.01)
    unanswered = sum(connection.busy for connection in connections) + len(opening)
    result = _result(outcomes, done, unsent, unanswered)
    for connection in connections:
        connection.busy = False
        connection.close()
    return result


def _result(outcomes: Outcomes, offered: int, unsent: int, unanswered: int) -> OpenLoopResult:
    accepted, refused = sorted(outcomes.accepted) or [0.0], sorted(outcomes.refused) or [0.0]
    return OpenLoopResult(
        offered=offered,
        accepted=len(outcomes.accepted),
        in_time=outcomes.in_time,
        median_ms=round(accepted[len(accepted) // 2] * 1000, 2),
        p99_ms=round(accepted[len(accepted) * 99 // 100] * 1000, 2),
        refused=len(outcomes.refused),
        refused_p99_ms=round(refused[len(refused) * 99 // 100] * 1000, 2),
        without_retry_after=outcomes.without_retry_after,
        resets=outcomes.resets,
        unanswered=unanswered,
        unsent=unsent,
        others=outcomes.others,
    )


def main() -> None:
    """Read a plan, run it, write the outcomes."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=OpenLoopPlan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(plan))))


if __name__ == "__main__":
    main()
