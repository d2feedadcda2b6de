"""Clients that take their time: closed by the deadlines, while everybody else is served as ever."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import msgspec
import pytest

from dragoman.cli.server import serve
from dragoman.web import bodies
from tests.support.processes import workers
from tests.support.raw_http import resident_memory, statuses_of
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite]

SLOW = int(os.environ.get("FAULT_SLOW", "500"))
"""So many at a time."""
DEADLINE_S = 30.0
"""By then all of them are closed."""
DRIP_S = 1.0
WINDOW_S = 3.0
"""So long honest callers are watched before."""
WINDOWS = 5
"""In so many such stretches all slow clients are there; noise does not hit each of them."""
CALL_PAUSE_S = 0.02
MAX_SLOWDOWN, MAX_NOISE_S = 2.0, 0.05
"""What slow clients may do to the slowest answers: twice as slow, or by what a machine's noise is."""
GROWTH = 48 * 1024 * 1024
"""What all of them may cost in memory: less than 100 KB each."""

POST = b"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ATTACKS: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "headers": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n"),
    "a header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"y"),
    "half a word": (b"GE", b""),
    "a body": (POST + b"Content-Length: 10000\r\n\r\n", b" "),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a body that never comes": (POST + b"Content-Length: 10000\r\n\r\n", b""),
    "idle": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b""),
}
"""How each begins, and what it adds every second."""
ANSWERS = {"a body": 400, "chunks": 400, "a body that never comes": 400, "idle": 200}
"""Whoever has sent its headers is told; the others have not asked for anything."""


class SlowClientResult(msgspec.Struct, frozen=True):
    """How a slow client ended: after so long, with these answers; ``closed`` by the server."""

    attack: str
    seconds: float
    statuses: tuple[int, ...]
    closed: bool


async def run_slow_client(port: int, attack: str) -> SlowClientResult:
    """Connect, begin to speak, and drip until the server ends it, or the deadline is over."""
    begins, more = ATTACKS[attack]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, got, closed = time.monotonic(), b"", True

    async def drip() -> None:
        with suppress(ConnectionError):
            writer.write(begins)
            while more:
                await asyncio.sleep(DRIP_S)
                writer.write(more)
                await writer.drain()

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(DEADLINE_S + 5):
            while piece := await reader.read(65_536):
                got += piece
    except TimeoutError:
        closed = False
    except ConnectionError:
        pass
    finally:
        took = time.monotonic() - began
        dripping.cancel()
        writer.close()
    return SlowClientResult(attack, took, statuses_of(got), closed)


class NormalClient:
    """A caller with a credential: what it asks for, how it is answered, and how fast."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=10
        )
        self.statuses: Counter[int] = Counter()
        self.seconds: list[tuple[float, float]] = []
        """When each was asked, and how long its answer took."""

    async def run(self) -> None:
        """Read, and once in a while write, until cancelled."""
        for number in range(10**9):
            began = time.monotonic()
            if number % 10:
                answer = await self._client.get("/api/v1/auth/user/")
            else:
                answer = await self._client.patch("/api/v1/auth/user/", json={"bio": str(number)})
            self.seconds.append((began, time.monotonic() - began))
            self.statuses[answer.status_code] += 1
            await asyncio.sleep(CALL_PAUSE_S)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[NormalClient]:
        """Call for the length of a block; what was counted before is forgotten."""
        self.statuses, self.seconds = Counter(), []
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def p99_per_window(self) -> list[float]:
        """Return what 99 of 100 answers took at most, in each stretch of ``CALM_S`` (seconds)."""
        first = self.seconds[0][0]
        stretches: dict[int, list[float]] = {}
        for began, took in self.seconds:
            stretches.setdefault(int((began - first) / WINDOW_S), []).append(took)
        return [sorted(took)[int(len(took) * 0.99)] for took in stretches.values()]

    async def close(self) -> None:
        await self._client.aclose()


@pytest.fixture
def connection_count() -> Iterator[int]:
    """As many as are wanted, if this process may open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SLOW + 200
    if soft < wanted and hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield SLOW
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.anyio
async def test_slow_clients_are_closed_and_nobody_else_notices(
    attacked_server: tuple[Server, World], connection_count: int
) -> None:
    """All within thirty seconds; honest callers get what they got before, about as fast."""
    server, world = attacked_server
    honest = NormalClient(server.url, world.people["mia"].token)
    kinds = list(ATTACKS)
    async with honest.measuring():
        await asyncio.sleep(WINDOW_S)
    calm, before = max(honest.p99_per_window()), resident_memory(workers(server)[0])
    assert set(honest.statuses) == {200}
    async with honest.measuring():
        clients = [
            asyncio.create_task(run_slow_client(server.port, kinds[n % len(kinds)]))
            for n in range(connection_count)
        ]
        await asyncio.sleep(WINDOW_S)
        held = resident_memory(workers(server)[0])
        ends = await asyncio.gather(*clients)
    await honest.close()
    wrong = [
        end
        for end in ends
        if not end.closed
        or end.seconds > DEADLINE_S
        or end.statuses != ((ANSWERS[end.attack],) if end.attack in ANSWERS else ())
    ]
    assert wrong == [], Counter((end.attack, end.closed, end.statuses) for end in wrong)
    assert set(honest.statuses) == {200}, honest.statuses
    held_back = honest.p99_per_window()[:WINDOWS]
    assert len(held_back) == WINDOWS
    assert min(held_back) < max(calm * MAX_SLOWDOWN, calm + MAX_NOISE_S), (calm, held_back)
    after = resident_memory(workers(server)[0])
    assert max(held, after) - before < GROWTH, (before, held, after)


def test_a_worker_holds_no_more_connections_than_it_may_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for allowed in (256, 1024):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(allowed, hard), hard))
            assert 0 < serve.max_connections() < allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert serve.max_connections() <= serve.MAX_CONNECTIONS


def test_the_deadlines_are_well_within_the_promise() -> None:
    """A second's noise on a busy machine breaks no promise."""
    assert serve.HEADER_TIMEOUT_S < DEADLINE_S - 5
    assert bodies.BODY_TIMEOUT_S < DEADLINE_S - 5
