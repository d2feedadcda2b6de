"""The doctor asks at the public URL whether this directory answers there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.jobs.doctor import FAIL, OK, WARN, public_address
from dragoman.jobs.doctor.finding import Finding
from dragoman.settings import Settings
from dragoman.store import server_state
from tests.support.canned_answers import answering
from tests.support.mail_servers import silent_server

pytestmark = pytest.mark.anyio
LISTENING = "http://127.0.0.1:8123"


async def finding(url: str, instance: str | None = "ours") -> Finding:
    return await public_address.check(Settings(public_url=url), instance, LISTENING)


@pytest.mark.parametrize(
    ("status", "body", "state", "words"),
    [
        (200, {"status": "ready", "directory": "ours"}, OK, "this directory answers at"),
        (200, {"status": "ready", "directory": "theirs"}, FAIL, "another directory answers at"),
        (503, {"status": "not ready", "what": "database"}, WARN, "is not ready: database"),
        (200, {"status": "ready"}, WARN, "does not show that it is this directory"),
        (200, "<h1>Welcome to nginx</h1>", WARN, "does not show that it is this directory"),
        (200, "[" * 10_000, WARN, "does not show that it is this directory"),
        (404, {"directory": ["ours"]}, WARN, "(status 404)"),
    ],
)
async def test_what_answers(status: int, body: Any, state: str, words: str):
    with answering(status, body) as (url, asked):
        found = await finding(f"{url}/directory/")
    assert found.state == state
    assert words in found.found
    assert asked == ["/directory/readyz"]
    if state == FAIL:
        assert f"set DRAGOMAN_PUBLIC_URL={LISTENING}" in found.advice


async def test_redirects_are_not_followed():
    with (
        answering(200, {"status": "ready", "directory": "ours"}) as (there, asked),
        answering(301, Location=f"{there}/readyz\x1b[31m") as (url, _),
    ):
        found = await finding(url)
    assert (found.state, asked) == (WARN, [])
    assert found.found == f"{url} redirects to {there}/readyz [31m"


async def test_nobody_answers():
    found = await finding("http://127.0.0.1:1")
    assert found.state == WARN
    assert found.found == (
        "nothing answers at http://127.0.0.1:1 (Connection refused); the server that started last "
        f"listens on {LISTENING}"
    )
    assert f"set DRAGOMAN_PUBLIC_URL={LISTENING}" in found.advice
    found = await public_address.check(Settings(public_url=LISTENING), "ours", LISTENING)
    assert found.advice.startswith("start 'dragoman serve'")


async def test_silence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(public_address, "TIMEOUT_S", 0.1)
    with silent_server() as url:
        found = await finding(url.replace("smtp", "http"))
    assert "(no answer in time)" in found.found
    with silent_server(drip_bytes=b"HTTP/1.1 200 OK\r\n") as url:
        monkeypatch.setattr(public_address, "DEADLINE_S", 0.3)
        found = await finding(url.replace("smtp", "http"))
    assert found.state == WARN


async def test_the_server_names_the_directory_of_its_database(
    client: httpx.AsyncClient, directory: Directory
):
    read = directory.read(system_actor("tests"))
    instance = await server_state.find(read, server_state.INSTANCE)
    assert instance
    answer = await client.get("/readyz")
    assert answer.json() == {"status": "ready", "directory": instance}
