"""Callers without a valid token share a limit per address; who has one has none."""

from __future__ import annotations

import itertools

import pytest

from dragoman.settings import Rate
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

SECONDS = itertools.count(7200)
"""No two tests share a limit, and with it what is left of it."""


async def test_who_has_no_valid_token(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    rate = Rate(4, next(SECONDS))
    olga, mia = (
        {"Authorization": f"Bearer {world.people[name].tokens['binacle']}"}
        for name in ("olga", "mia")
    )
    foreign = {"Authorization": f"Bearer {world.people['olga'].tokens['wiwebb']}"}
    one = "/api/users/mia@acme.test"
    asked = [
        ("GET", "/api/users", {}, 405),
        ("POST", "/api/users", {}, 401),
        ("POST", "/api/auth/token", {}, 400),
        ("DELETE", one, foreign, 401),
    ]
    settings = settings_for(database, anonymous_rate=rate, contracts=("binacle",))
    async with running_client(settings) as client:
        for method, path, headers, status in asked:
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code == status, path
        for method, path, headers, _ in asked:
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code == 429, path
            assert answer.content == b""
            assert 0 < int(answer.headers["Retry-After"]) <= rate.seconds
        for _ in range(rate.count + 1):
            for headers, status in ((olga, 400), (mia, 403)):
                assert (await client.put(one, headers=headers)).status_code == status
                assert (await client.get(one, headers=headers)).status_code == 405


async def test_who_has_a_valid_token_gets_another_one(seeded_database: tuple[str, World]) -> None:
    """A client that renews its token in time is not held up by others at its address."""
    database, world = seeded_database
    rate = Rate(2, next(SECONDS))
    mia = world.people["mia"]
    by = {"Authorization": f"Bearer {mia.tokens['binacle']}"}
    body = {"email": mia.email, "password": mia.password}
    settings = settings_for(database, anonymous_rate=rate, contracts=("binacle",))
    async with running_client(settings) as client:
        for _ in range(rate.count):
            assert (await client.post("/api/auth/token", json={})).status_code == 400
        assert (await client.post("/api/auth/token", json=body)).status_code == 429
        for _ in range(rate.count + 1):
            answer = await client.post("/api/auth/token", json=body, headers=by)
            assert answer.status_code == 200, answer.text
        wrong = {**body, "password": "amber-Ladder-73"}
        answer = await client.post("/api/auth/token", json=wrong, headers=by)
        assert answer.status_code == 401, "its token opens nothing without the password"
        nonsense = {"Authorization": "Bearer nonsense"}
        answer = await client.post("/api/auth/token", json=body, headers=nonsense)
        assert answer.status_code == 429
