"""/metrics: what is counted, and what it says while the database is away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.settings import Settings
from dragoman.web import exposition
from tests.support import metric_samples
from tests.support.databases import ADMIN_PASSWORD, settings_for
from tests.support.metric_samples import Samples, value
from tests.support.rows import open_rows
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

REQUESTS = "dragoman_http_requests_total"
LOGIN = "/wiwebb/api/v1/auth/login/"


async def samples(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return metric_samples.parse(answer.text)


async def test_requests_that_no_contract_answers_are_counted(client: httpx.AsyncClient):
    for method, path in (("GET", "/nope"), ("POST", "/nope"), ("GET", "/healthz"), ("GET", "/")):
        await client.request(method, path)
    await client.get("/", headers={"Content_Length": "1"})
    found = await samples(client)
    assert value(found, REQUESTS, contract="none", method="GET", status="404") == 1
    assert value(found, REQUESTS, contract="none", method="POST", status="404") == 1
    assert value(found, REQUESTS, contract="none", status="200") == 2
    assert value(found, REQUESTS, contract="none", status="400") == 1
    assert value(found, "dragoman_http_request_duration_seconds_count", contract="none") == 5


async def test_pages_and_documents_are_counted_once(client: httpx.AsyncClient):
    await client.get("/account/verify/nothing")
    await client.get("/vsay/openapi.json")
    await client.get("/console/nothing")
    found = await samples(client)
    assert value(found, REQUESTS) == 3
    assert value(found, REQUESTS, contract="console") == 1
    assert value(found, REQUESTS, contract="account", status="404") == 1
    assert value(found, REQUESTS, contract="vsay", status="200") == 1


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_preflights_are_counted(database: str):
    origin = "https://app.example.com"
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    async with running_client(settings_for(database, cors_origins=(origin,))) as client:
        assert (await client.options("/vsay/v1/users", headers=asked)).status_code == 204
        found = await samples(client)
    assert value(found, REQUESTS, contract="none", method="OPTIONS", status="204") == 1


async def test_clients_invent_no_labels(client: httpx.AsyncClient):
    for number in range(40):
        for path in ("/vsay/v1/users", f"/{number}", "/healthz", "/vsay/docs"):
            await client.request(f"BREW{number}", path)
    found = await samples(client)
    series = [dict(pairs) for name, pairs in found if name == REQUESTS]
    assert {one["method"] for one in series} == {"other"}
    assert len(series) <= 4
    assert value(found, REQUESTS) == 160


async def test_sign_ins_are_counted_by_their_result(client: httpx.AsyncClient):
    passwords = [ADMIN_PASSWORD, *["wrong"] * 10, "wrong", ADMIN_PASSWORD]
    for password in passwords:
        await client.post(LOGIN, json={"username": "admin", "password": password})
    found = await samples(client)
    results = {
        result: value(found, "dragoman_sign_ins_total", result=result)
        for result in ("succeeded", "failed", "limited", "unavailable")
    }
    assert results == {"succeeded": 1, "failed": 10, "limited": 2, "unavailable": 0}


async def test_mails_and_the_size_of_the_database(client: httpx.AsyncClient, settings: Settings):
    rows = await open_rows(settings.database)
    try:
        insert = (
            "INSERT INTO outbox (kind, recipient, payload, created_at, due_at, attempts, sent_at,"
            " failed_at, last_error) VALUES ('verify', '', '{}', 5000000, 9000000000000000, 0,"
        )
        await rows.execute([(f"{insert} {state}, '')", []) for state in ("0, 0", "0, 1", "1, 0")])
    finally:
        await rows.close()
    found = await samples(client)
    assert value(found, "dragoman_database_up") == 1
    assert value(found, "dragoman_database_size_bytes") > 100_000
    assert value(found, "dragoman_outbox_messages", state="pending") == 1
    assert value(found, "dragoman_outbox_messages", state="failed") == 1
    assert value(found, "dragoman_outbox_oldest_pending_timestamp_seconds") == 5


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_database_that_is_away_is_said_and_asked_again(
    client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exposition, "CACHE_S", 0.0)
    monkeypatch.setattr(exposition, "RETRY_S", 0.0)
    path = settings.sqlite_path
    assert path is not None
    assert value(await samples(client), "dragoman_database_up") == 1
    aside = path.with_suffix(".aside")
    path.rename(aside)
    await client.post(LOGIN, json={"username": "admin", "password": ADMIN_PASSWORD})
    away = await samples(client)
    monkeypatch.setattr(exposition, "MAX_AGE_S", 0.0)
    later = await samples(client)
    aside.rename(path)
    assert value(away, "dragoman_database_up") == value(later, "dragoman_database_up") == 0
    assert value(away, "dragoman_sign_ins_total", result="unavailable") == 1
    assert ("dragoman_outbox_messages", frozenset({("state", "failed")})) in away
    assert ("dragoman_outbox_messages", frozenset({("state", "failed")})) not in later
    assert value(await samples(client), "dragoman_database_up") == 1


async def test_the_database_is_not_asked_by_every_scrape(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    asked: list[object] = []
    ask = exposition.diagnostics.outbox_info

    async def noted(read: Any) -> object:
        asked.append(read)
        return await ask(read)

    monkeypatch.setattr(exposition.diagnostics, "outbox_info", noted)
    for _ in range(5):
        await samples(client)
    assert len(asked) == 1


async def test_openmetrics_for_those_who_ask(client: httpx.AsyncClient):
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
