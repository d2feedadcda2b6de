"""Whose body is late is counted aside, and only that: a busy loop makes nobody late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from dragoman.web import bodies
from dragoman.web.body_errors import BadRequest, TooLarge

pytestmark = pytest.mark.anyio

LATE_S = 0.05


@pytest.fixture(autouse=True)
def _short_slow_body_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SLOW_AFTER_S", LATE_S)
    assert bodies.SLOW_BODIES.count == 0


def request(receive: Callable[[], Awaitable[Any]]) -> Request:
    """Return a request whose body comes as this gives it."""
    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def message(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """Return a piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def wait_for_count(above: int) -> bool:
    """Wait until so many are counted; say whether it came to be."""
    end = time.monotonic() + 5
    while bodies.SLOW_BODIES.count != above and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return bodies.SLOW_BODIES.count == above


@pytest.mark.parametrize("end", ["body", "disconnect", "too large", "cancelled"])
async def test_who_takes_its_time_is_counted_until_it_is_done(end: str) -> None:
    go = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await go.wait()
        if end == "disconnect":
            return {"type": "http.disconnect"}
        return message(b"x" * (bodies.MAX_BODY_BYTES + 1) if end == "too large" else b"{}")

    reading = asyncio.create_task(bodies.read_body(request(receive)))
    assert await wait_for_count(1)
    if end == "cancelled":
        reading.cancel()
    go.set()
    wrong = {"disconnect": BadRequest, "too large": TooLarge, "cancelled": asyncio.CancelledError}
    if end in wrong:
        with pytest.raises(wrong[end]):
            await reading
    else:
        assert await reading == b"{}"
    assert bodies.SLOW_BODIES.count == 0


async def test_who_is_in_time_is_not_counted() -> None:
    seen: set[int] = set()

    async def receive() -> dict[str, Any]:
        seen.add(bodies.SLOW_BODIES.count)
        return message(b"{}")

    await bodies.read_body(request(receive))
    await asyncio.sleep(3 * LATE_S)
    assert seen == {0}
    assert bodies.SLOW_BODIES.count == 0


async def test_a_loop_that_has_not_come_round_makes_nobody_late() -> None:
    """The body arrives while the loop works for others: that is our queue, not its slowness."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[dict[str, Any]] = loop.create_future()
    seen: set[int] = set()

    async def receive() -> dict[str, Any]:
        came = await arrived
        seen.add(bodies.SLOW_BODIES.count)
        return came

    def work() -> None:
        time.sleep(3 * LATE_S)  # what others cost
        arrived.set_result(message(b"{}"))

    reading = asyncio.create_task(bodies.read_body(request(receive)))
    await asyncio.sleep(0)
    loop.call_soon(work)
    assert await reading == b"{}"
    assert seen == {0}


async def test_a_body_in_very_many_pieces_is_refused() -> None:
    """Each of them costs the same, however small it is."""
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return message(b" ", more=True)

    with pytest.raises(BadRequest):
        await bodies.read_body(request(receive))
    assert taken == bodies.MAX_CHUNKS + 1
