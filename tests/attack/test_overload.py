"""More is asked than can be answered: a refusal at once or the answer, no reset, and calm after."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import httpx
import pytest

from tests.attack.sockets import memory
from tests.faults.processes import workers
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.anyio]

AT_ONCE = tuple(int(n) for n in os.environ.get("FAULT_OFFERED", "150,600").split(","))
"""So many at a time; more of them where a machine answers all of that."""
FOR_S = float(os.environ.get("FAULT_OFFERED_S", "4"))
KINDS = ("enter", "read", "enter", "write", "enter", "other")
"""What is asked in turn: a hash costs most, so that is what there is too much of."""
GROWTH = 64 * 1024 * 1024
CALM_S = 10.0
"""By then it is as before."""


class Offered:
    """Callers who do not wait for each other: every one asks again as soon as it has its answer."""

    def __init__(self, url: str, world: World) -> None:
        self.world = world
        self.client = httpx.AsyncClient(
            base_url=url,
            timeout=60,
            limits=httpx.Limits(
                max_connections=max(AT_ONCE), max_keepalive_connections=max(AT_ONCE)
            ),
        )
        self.said: Counter[str] = Counter()

    async def ask(self, number: int) -> None:
        """Sign in, read or write, in turn; note how it was answered."""
        mia = self.world.people["mia"]
        headers = {"Authorization": f"Token {mia.token}"}
        kind = KINDS[number % len(KINDS)]
        try:
            if kind == "enter":
                body = {"username": f"nobody{number}", "password": "wrong-Kettle-42"}
                answer = await self.client.post("/api/v1/auth/login/", json=body)
            elif kind == "read":
                answer = await self.client.get("/api/v1/auth/user/", headers=headers)
            elif kind == "write":
                body = {"bio": str(number)}
                answer = await self.client.patch("/api/v1/auth/user/", json=body, headers=headers)
            else:
                by = {"Authorization": f"Bearer {mia.tokens['vsay']}"}
                answer = await self.client.get("/vsay/users", headers=by)
        except httpx.TransportError as fault:
            self.said[f"{kind}: {type(fault).__name__}"] += 1
            return
        right = 400 if kind == "enter" else 200
        if answer.status_code == 503:
            after = answer.headers.get("Retry-After", "")
            self.said["503" if after.isdigit() and int(after) > 0 else "503 for how long?"] += 1
        elif answer.status_code == right:
            self.said["answered"] += 1
        else:
            self.said[f"{kind}: {answer.status_code}"] += 1

    async def pour(self, at_once: int) -> None:
        """Ask from so many at once for so long."""
        end = time.monotonic() + FOR_S

        async def one(number: int) -> None:
            while time.monotonic() < end:
                await self.ask(number)
                number += at_once + 1

        await asyncio.gather(*(one(number) for number in range(at_once)))


async def test_more_than_can_be_answered(attacked: tuple[Server, World]) -> None:
    """Each is answered, or told when to come back; nothing is broken off, nothing is left behind."""
    server, world = attacked
    offered = Offered(server.url, world)
    try:
        before = memory(workers(server)[0])
        for at_once in AT_ONCE:
            await offered.pour(at_once)
            assert offered.said.keys() <= {"answered", "503"}, offered.said
            assert offered.said["answered"] > 0
            if offered.said["503"]:
                break
        else:
            pytest.skip("this machine answers all that is asked of it here")
        end = time.monotonic() + CALM_S
        calm: Counter[str] = Counter()
        while time.monotonic() < end and calm != Counter(answered=8):
            offered.said.clear()
            for number in range(8):
                await offered.ask(number)
            calm = Counter(offered.said)
        assert calm == Counter(answered=8), calm
        assert memory(workers(server)[0]) - before < GROWTH
    finally:
        await offered.client.aclose()
