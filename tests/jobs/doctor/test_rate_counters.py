"""The doctor counts something in the Redis of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dragoman.jobs.doctor import OK, WARN, rate_counters
from dragoman.settings import Settings
from tests.support.redis_servers import KINDS, running_redis

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_redis(kind: str, tmp_path: Path):
    with running_redis(kind, tmp_path) as server:
        url = server.url.replace("redis://", "valkey://")
        found = await rate_counters.check(Settings(redis=url))
    assert found.state == OK
    assert found.found == f"127.0.0.1:{server.port}/0 counts rates for all workers and nodes"
    found = await rate_counters.check(Settings(redis=server.url.replace("//", "//:geheim@")))
    assert found.state == WARN
    assert "connecting to" in found.found
    assert "geheim" not in str(found)
    assert "DRAGOMAN_REDIS" in found.advice


async def test_none():
    assert (await rate_counters.check(Settings())).state == OK
