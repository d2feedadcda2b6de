"""``GET /``: JSON for programs, and a page for people."""

from __future__ import annotations

import re

import httpx
import msgspec
import pytest

from dragoman.settings import Settings
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_programs_get_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.json()["contracts"]["wekan"] == "http://127.0.0.1:8000/wekan/"
    assert answer.headers["vary"] == "Accept"


async def test_a_browser_is_led_to_the_console_and_the_docs(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'href="([^"]+)"', page.text)
    assert "/console/" in links
    assert len(links) == 6
    for link in links:
        assert (await client.get(link, headers=HTML)).status_code in {200, 303}, link


async def test_no_link_leads_to_a_console_that_is_off(settings: Settings) -> None:
    changed = msgspec.structs.replace(settings, console=False)
    async with running_client(changed) as client:
        assert "/console/" not in (await client.get("/", headers=HTML)).text
