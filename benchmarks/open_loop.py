"""An open loop: so many requests a second, whether or not the server keeps up.

``python -m benchmarks.open_loop`` reads an Offer as JSON from standard input and writes an Offered.
A latency counts from the moment at which its request was due, so that waiting counts.
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
    """``rate`` requests a second for so long, over at most ``most`` connections."""

    url: str
    requests: list[RequestSpec]
    rate: float
    seconds: float
    max_connections: int = 1000


class OpenLoopResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests: each was accepted (200), refused (503), or is lost.

    ``in_time`` were accepted before the last one was offered. ``unsaid`` are 503 without ``Retry-After``; ``unsent`` had no connection left to go out on,
    ``unanswered`` got no answer before the end, ``resets`` lost their connection.
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
        """Requests that were neither accepted nor refused in words."""
        return self.resets + self.unanswered + self.unsent + self.others + self.without_retry_after


class Outcomes:
    """What is known of the answers so far."""

    def __init__(self) -> None:
        self.accepted: list[float] = []
        self.refused: list[float] = []
        self.without_retry_after = self.resets = self.others = 0
        self.idle: list[OpenLoopConnection] = []
        self.in_time = 0
        self.end = 0.0


class OpenLoopConnection(asyncio.Protocol):
    """One connection: at most one request under way."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._reader = ResponseReader()
        self._transport: Any = None
        self._due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a moment."""
        self._due, self.busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        if not self._reader.feed(data):
            return
        now, book, self.busy = perf_counter(), self._outcomes, False
        took = now - self._due
        if self._reader.status == b"200":
            book.accepted.append(took)
            book.in_time += now <= book.end
        elif self._reader.status == b"503":
            book.refused.append(took)
            book.without_retry_after += b"\r\nretry-after:" not in self._reader.head
        else:
            book.others += 1
        book.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it, and never use it again."""
        self._outcomes.resets += self.busy
        if self in self._outcomes.idle:
            self._outcomes.idle.remove(self)
        self.busy = False

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def measure(plan: OpenLoopPlan) -> OpenLoopResult:
    """Offer the requests to a server on this machine and wait for what comes back."""
    host, port = address_of(plan.url)
    asks = cycle([ask.encode(f"{host}:{port}") for ask in plan.requests])
    loop, book, lines = asyncio.get_running_loop(), Outcomes(), list[OpenLoopConnection]()
    opening: set[asyncio.Task[None]] = set()
    unsent = done = 0

    async def send_on_new(due: float) -> None:
        try:
            _, line = await loop.create_connection(lambda: OpenLoopConnection(book), host, port)
        except OSError:
            book.resets += 1
            return
        lines.append(line)
        line.send(next(asks), due)

    began = perf_counter()
    book.end = began + plan.seconds
    while (now := perf_counter() - began) < plan.seconds:
        while done < now * plan.rate:
            due = began + done / plan.rate
            done += 1
            if book.idle:
                book.idle.pop().send(next(asks), due)
            elif len(lines) + len(opening) < plan.max_connections:
                task = loop.create_task(send_on_new(due))
                opening.add(task)
                task.add_done_callback(opening.discard)
            else:
                unsent += 1
        await asyncio.sleep(TICK_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            while opening or any(line.busy for line in lines):
                await asyncio.sleep(0.01)
    unanswered = sum(line.busy for line in lines) + len(opening)
    result = _result(book, done, unsent, unanswered)
    for line in lines:
        line.busy = False
        line.close()
    return result


def _result(book: Outcomes, offered: int, unsent: int, unanswered: int) -> OpenLoopResult:
    accepted, refused = sorted(book.accepted) or [0.0], sorted(book.refused) or [0.0]
    return OpenLoopResult(
        offered=offered,
        accepted=len(book.accepted),
        in_time=book.in_time,
        median_ms=round(accepted[len(accepted) // 2] * 1000, 2),
        p99_ms=round(accepted[len(accepted) * 99 // 100] * 1000, 2),
        refused=len(book.refused),
        refused_p99_ms=round(refused[len(refused) * 99 // 100] * 1000, 2),
        without_retry_after=book.without_retry_after,
        resets=book.resets,
        unanswered=unanswered,
        unsent=unsent,
        others=book.others,
    )


def main() -> None:
    """Read an offer, carry it out, write what became of it."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=OpenLoopPlan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(measure(plan))))


if __name__ == "__main__":
    main()
