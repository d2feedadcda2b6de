"""Unavailable: every contract renders it, and the log is not flooded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.rules.errors import Unavailable
from dragoman.web import logs, resource
from dragoman.web.calls import Call
from tests.support.clients import CLIENTS
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

LISTS = {
    "wiwebb": "/api/v1/users/",
    "accounts": "/api/users",
    "binacle": "/api/users/x@x.test",
    "wekan": "/api/users",
    "vsay": "/users",
}


async def unavailable(*_: object) -> None:
    """Fail like the database's load shedder."""
    raise Unavailable("database", retry_after=3)


async def test_every_contract_renders_unavailable(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(Call, "identify", unavailable)
    monkeypatch.setattr(resource, "throttle", logs.LogThrottle())
    monkeypatch.setattr(resource.log, "warning", lambda event, **fields: logged.append(fields))
    assert set(LISTS) == set(CLIENTS)
    async with running_client(settings_for(seeded_database[0])) as client:
        for name, path in LISTS.items():
            for _ in range(3):
                answer: httpx.Response = await client.request(
                    "DELETE" if name == "binacle" else "GET", f"/{name}{path}"
                )
                assert answer.status_code == 503, name
                assert answer.headers["Retry-After"] == "3"
        assert (await client.get("/healthz")).status_code == 200
    assert [fields["what"] for fields in logged] == ["database"], (
        "once a second, not once a request"
    )
