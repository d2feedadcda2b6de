"""Log lines that a caller can cause are limited to one a second."""

from __future__ import annotations

import itertools
import time

import httpx
import pytest

from dragoman.settings import Rate, Settings
from dragoman.web import resource
from dragoman.web.logs import LogThrottle
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import API

SECONDS = itertools.count(76_400)
"""Windows of this length are counted by no other test."""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged, by name."""
    noted: list[str] = []
    monkeypatch.setattr(resource, "throttle", LogThrottle())
    for level in ("info", "warning"):
        monkeypatch.setattr(resource.log, level, lambda event, **_: noted.append(event))
    return noted


@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_caller_beyond_its_rate_fills_no_disk(settings: Settings, events: list[str]):
    rate = Rate(5, next(SECONDS))
    limited = settings_for(settings.database, anonymous_rate=rate)
    async with running_client(limited) as client:
        for _ in range(60):
            await client.get(f"{API}/users/")
    counts = {name: events.count(name) for name in ("limited", "refused")}
    assert 1 <= counts["limited"] <= 5, counts  # one a second
    assert 1 <= counts["refused"] <= 5, counts


@pytest.mark.anyio
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_each_refusal_is_logged_once(client: httpx.AsyncClient, events: list[str]):
    await client.get(f"{API}/users/1/")
    await client.get(f"{API}/tenants/me/")
    await client.post(f"{API}/users/", json={})
    assert events.count("refused") == 3


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    throttle = LogThrottle()
    logged = [throttle.should_log(f"key {number}") for number in range(5000)]
    assert sum(each is not None for each in logged) == LogThrottle.MAX_KEYS + 1
