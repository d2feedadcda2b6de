"""``X-RateLimit-…`` on every answer: the caller's own limit, and what happens beyond it."""

from __future__ import annotations

import itertools
import time

import pytest

from dragoman.settings import Rate
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

SECONDS = itertools.count(3600)
"""No two tests share a limit, and with it what is left of it."""


async def test_somebody_who_has_signed_in(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    rate = Rate(3, next(SECONDS))
    by_vic = {"Authorization": f"Bearer {world.people['vic'].tokens['vsay']}"}
    by_mia = {"Authorization": f"Bearer {world.people['mia'].tokens['vsay']}"}
    mia = f"/users/usr_{world.people['mia'].public_id}"
    asked = [
        ("GET", "/users", 200, "2"),
        ("PUT", mia, 403, "1"),
        ("GET", "/users/x", 404, "0"),
        ("GET", "/users", 429, "0"),
        ("POST", "/auth/logout", 429, "0"),
        ("PATCH", mia, 429, "0"),
    ]
    async with running_client(settings_for(database, user_rate=rate)) as client:
        answers = [await client.request(m, path, headers=by_vic) for m, path, _, _ in asked]
        resets: set[str] = set()
        for answer, (_, _, status, left) in zip(answers, asked, strict=True):
            assert answer.status_code == status
            assert answer.headers["X-RateLimit-Limit"] == "3"
            assert answer.headers["X-RateLimit-Remaining"] == left
            resets.add(answer.headers["X-RateLimit-Reset"])
        (reset,) = resets
        assert 0 < int(reset) - time.time() <= rate.seconds + 1
        assert answers[-1].json() == {
            "success": False,
            "error": {"code": "RATE_LIMITED", "message": "Too many requests, try again later"},
        }
        assert 0 < int(answers[-1].headers["Retry-After"]) <= rate.seconds
        other = await client.get("/auth/me", headers=by_mia)
        assert (other.status_code, other.headers["X-RateLimit-Remaining"]) == (200, "2")
        stranger = await client.get("/users")
        assert stranger.status_code == 401
        assert "X-RateLimit-Limit" not in stranger.headers, "strangers are not limited here"


async def test_a_stranger(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    rate = Rate(4, next(SECONDS))
    by_vic = {"Authorization": f"Bearer {world.people['vic'].tokens['vsay']}"}
    asked = [
        ("GET", "/users", 401, "3"),
        ("POST", "/auth/login", 400, "2"),
        ("GET", "/users/invitations/x", 404, "1"),
        ("GET", "/vsay/accept/x", 404, "0"),
        ("POST", "/auth/login", 429, "0"),
        ("GET", "/users", 429, "0"),
    ]
    async with running_client(settings_for(database, anonymous_rate=rate)) as client:
        for method, path, status, left in asked:
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert answer.headers["X-RateLimit-Limit"] == "4"
            assert answer.headers["X-RateLimit-Remaining"] == left
        known = await client.get("/users", headers=by_vic)
        assert known.status_code == 200
        assert known.headers["X-RateLimit-Limit"] == "6000"


async def test_the_setting_off(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    by_vic = {"Authorization": f"Bearer {world.people['vic'].tokens['vsay']}"}
    async with running_client(settings_for(database, user_rate=Rate(0, 1))) as client:
        answer = await client.get("/users", headers=by_vic)
    assert answer.status_code == 200
    assert "X-RateLimit-Limit" not in answer.headers
