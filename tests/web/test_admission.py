"""A flooded event loop refuses at once, in the contract's words, and does not flood the log."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.rules.errors import Unavailable
from dragoman.web import admission, logs, resource
from dragoman.web.admission import Admission
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


class SaturatedAdmission(Admission):
    """A loop that has more to do than it can."""

    def acquire(self, excluded: int) -> None:
        raise Unavailable("requests", retry_after=3)


async def test_every_contract_refuses_in_its_own_words(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(resource, "ADMISSION", SaturatedAdmission())
    monkeypatch.setattr(resource, "throttle", logs.LogThrottle())
    monkeypatch.setattr(resource.log, "warning", lambda event, **fields: noted.append(fields))
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
    assert [told["what"] for told in noted] == ["requests"], "a line a second, not one for each"


def test_what_a_request_costs_is_what_the_loop_worked() -> None:
    gate = Admission()
    for _ in range(100):
        gate.acquire(0)
        sum(range(20_000))
        gate.release()
    assert gate._load_shedder._service_time_s > 0.0001
    gate._load_shedder._service_time_s = 0.05
    for _ in range(round(admission.MAX_WAIT_S / 0.05) + 1):
        gate.acquire(0)
    with pytest.raises(Unavailable):
        gate.acquire(0)
    gate.acquire(excluded=30)
