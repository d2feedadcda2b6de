"""Rates that are counted in Redis, by all workers and nodes; without Redis, by each for itself."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman import app, shared_windows
from dragoman.rules.errors import RateLimited
from dragoman.settings import Rate, Settings
from dragoman.shared_windows import SharedWindows
from dragoman.web import rate_limits
from tests.support.databases import ADMIN_PASSWORD, settings_for
from tests.support.mail_servers import silent_server
from tests.support.redis_servers import KINDS, RedisServer, running_redis
from tests.support.running_app import client_for, lifespan
from tests.support.world import API

pytestmark = pytest.mark.anyio
_numbers = itertools.count(1)


@pytest.fixture(params=KINDS)
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(request.param, tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
async def connections_are_closed() -> AsyncIterator[None]:
    yield
    await shared_windows.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take long to answer."""
    monkeypatch.setattr(shared_windows, "TIMEOUT_S", 20.0)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []
    for level in ("info", "warning"):
        monkeypatch.setattr(shared_windows.log, level, lambda event, **_: events.append(event))
    return events


def fresh_address() -> str:
    return f"10.98.{next(_numbers)}.1"


def limited(url: str, count: int = 3) -> Settings:
    return Settings(anonymous_rate=Rate(count, 60), user_rate=Rate(count, 60), redis=url)


@contextlib.contextmanager
def another_worker() -> Iterator[None]:
    """What a process of its own would have: no counters, no connections."""
    mine = dict(shared_windows._open)
    shared_windows._open.clear()
    rate_limits._storage.reset()
    try:
        yield
    finally:
        shared_windows._open.update(mine)


async def hits(settings: Settings, address: str, count: int) -> int:
    """Count requests; return how many of them are within the limit."""
    within = 0
    for _ in range(count):
        with contextlib.suppress(RateLimited):
            await rate_limits.hit(settings, address)
            within += 1
    return within


async def test_workers_count_together(redis: RedisServer):
    settings, address = limited(redis.url), fresh_address()
    assert await hits(settings, address, 2) == 2
    with another_worker():
        assert await hits(settings, address, 2) == 1
        await shared_windows.close()
    with pytest.raises(RateLimited) as raised:
        await rate_limits.hit(settings, address)
    assert 0 < raised.value.retry_after <= 60
    assert await hits(settings, fresh_address(), 1) == 1
    without = limited("")
    assert await hits(without, address, 4) == 3


async def test_signed_in_callers_are_counted_there_too(redis: RedisServer):
    settings = limited(redis.url)
    await rate_limits.hit_user(settings, 7)
    with another_worker():
        status = await rate_limits.remaining(settings, "", 7)
        await shared_windows.close()
    assert status is not None
    assert (status.limit, status.remaining) == (3, 2)
    assert 0 < status.resets_at - time.time() <= 61
    for _ in range(2):
        await rate_limits.hit_user(settings, 7)
    with pytest.raises(RateLimited):
        await rate_limits.hit_user(settings, 7)


async def test_a_window_ends(redis: RedisServer):
    settings = Settings(anonymous_rate=Rate(1, 1), redis=redis.url)
    address = fresh_address()
    assert await hits(settings, address, 2) == 1
    storage = shared_windows.shared_windows(redis.url)._storage
    key = "LIMITER/anonymous/{}/1/1/second".format(address.rpartition(".")[0] + ".1")
    assert 0 < await storage.bridge.get_connection().pttl(f"dragoman:{key}") <= 1000


async def test_redis_stops_and_comes_back(
    redis: RedisServer, logged: list[str], monkeypatch: pytest.MonkeyPatch
):
    """No request is stopped by it, the log tells once, and limits hold in every process."""
    settings, address = limited(redis.url), fresh_address()
    assert await hits(settings, address, 1) == 1
    redis.stop()
    assert await hits(settings, address, 5) == 3
    assert logged == ["redis_away"]
    redis.start()
    assert await hits(settings, address, 1) == 0  # it is not asked again yet
    monkeypatch.setattr(shared_windows, "RETRY_S", 0.0)
    shared_windows.shared_windows(redis.url)._retry_at = 0.0
    address = fresh_address()
    assert await hits(settings, address, 5) == 3
    assert logged == ["redis_away", "redis_back"]
    with another_worker():
        assert await hits(settings, address, 1) == 0
        await shared_windows.close()


async def test_while_it_is_away_one_request_tries_it_at_a_time(
    logged: list[str], monkeypatch: pytest.MonkeyPatch
):
    clock = [1000.0]
    monkeypatch.setattr(shared_windows.time, "monotonic", lambda: clock[0])
    windows = SharedWindows("redis://127.0.0.1:1/0")
    attempts: list[None] = []

    async def work() -> None:
        attempts.append(None)
        assert await windows._attempt(work) is None  # another request meanwhile
        raise ConnectionError

    windows._available = False
    for _ in range(3):
        assert await windows._attempt(work) is None
    assert len(attempts) == 1
    clock[0] += shared_windows.RETRY_S
    assert await windows._attempt(work) is None
    assert len(attempts) == 2
    assert logged == ["redis_away"]
    clock[0] += shared_windows.REPORT_S
    assert await windows._attempt(work) is None
    assert logged == ["redis_away"] * 2
    await windows.close()


async def test_redis_that_says_nothing(logged: list[str], monkeypatch: pytest.MonkeyPatch):
    """A frozen one costs a request the timeout, and those after it nothing."""
    monkeypatch.setattr(shared_windows, "TIMEOUT_S", 0.05)
    with silent_server() as url:
        settings = limited(url.replace("smtp", "redis"))
        address = fresh_address()
        assert await hits(settings, address, 5) == 3
        assert logged == ["redis_away"]
        await shared_windows.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "python"])
async def test_a_wrong_password(kind: str, tmp_path: Path, logged: list[str]):
    with running_redis(kind, tmp_path, password="pa%3Ass") as server:
        right = limited(server.url.replace("%", "%25"))
        assert await hits(right, fresh_address(), 1) == 1
        assert logged == []
        assert await hits(limited(server.url.replace("pa%3Ass", "wrong")), fresh_address(), 5) == 3
        assert logged == ["redis_away"]
        await shared_windows.close()


async def test_it_is_loaded_only_where_it_is_set():
    code = (
        "import sys, dragoman.app, dragoman.web.resource\n"
        "loaded = [name for name in sys.modules if name.startswith(('redis', 'dragoman.jobs.doctor'))]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestServer:
    @pytest.fixture
    async def settings(self, redis: RedisServer, tmp_path: Path) -> Settings:
        given: dict[str, Any] = {"anonymous_rate": Rate(5, 60), "redis": redis.url}
        settings = settings_for(f"sqlite:///{tmp_path}/dragoman.db", **given)
        await app.migrate_and_bootstrap(settings)
        return settings

    @contextlib.asynccontextmanager
    async def node(self, settings: Settings, address: str) -> AsyncGenerator[Any]:
        application: Any = app.create(settings)
        async with lifespan(application), client_for(application, address=address) as client:
            yield client

    async def test_two_nodes_and_no_redis(self, settings: Settings, redis: RedisServer):
        address = fresh_address()
        async with self.node(settings, address) as one:
            assert [(await one.get(f"{API}/users/")).status_code for _ in range(4)] == [401] * 4
            rate_limits._storage.reset()
            async with self.node(settings, address) as two:
                answers = [await two.get(f"{API}/users/") for _ in range(2)]
                assert [each.status_code for each in answers] == [401, 429]
                assert 0 < int(answers[1].headers["Retry-After"]) <= 60
            redis.stop()
            assert (await one.get("/readyz")).status_code == 200
            assert (await one.get(f"{API}/users/")).status_code == 401

    async def test_the_headers_of_vsay(self, settings: Settings):
        async with self.node(settings, fresh_address()) as client:
            body = {"email": "admin@localhost", "password": ADMIN_PASSWORD}
            answers = [await client.post("/vsay/auth/login", json=body) for _ in range(2)]
            left = [int(each.headers["X-RateLimit-Remaining"]) for each in answers]
        assert answers[0].headers["X-RateLimit-Limit"] == "5"
        assert left == [4, 3]
