"""A long list walked by its links, and from anywhere by its offset."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.app import open_directory
from tests.support.databases import settings_for
from tests.support.people import SYSTEM_ACTOR, UserRow, insert_users
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio
MANY = 1250


async def get(client: httpx.AsyncClient, url: str, token: str) -> dict[str, Any]:
    answer = await client.get(url, headers={"Authorization": f"Token {token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_walk_by_links_finds_everybody_once_and_in_order(database: str) -> None:
    """From the thousandth user on, links carry a position; the offset stands beside it."""
    given = settings_for(database)
    async with open_directory(given) as directory, directory.begin(SYSTEM_ACTOR) as tx:
        await insert_users(tx, (UserRow(username=f"user{n:04}", tenant_id=1) for n in range(MANY)))
    async with running_client(given) as client:
        body = {"username": given.admin_username, "password": given.admin_password}
        token = (await client.post("/api/users/signin", json=body)).json()["token"]
        url: str | None = "/api/users?limit=100"
        walked: list[dict[str, Any]] = []
        while url:
            page = await get(client, url, token)
            assert page["count"] == MANY
            url = page["next"]
            walked += page["results"]
            if url:
                assert f"offset={len(walked)}" in url
                assert ("after=" in url) is (len(walked) >= 1000), url
        assert [user["id"] for user in walked] == sorted({user["id"] for user in walked})
        assert len(walked) == MANY

        deep = await get(client, "/api/users?limit=100&offset=1100", token)
        assert deep["results"] == walked[1100:1200]
        assert deep["previous"] == "http://127.0.0.1:8000/api/users?limit=100&offset=1000"

        usual = await get(client, "/api/users?offset=990", token)
        assert "limit=50" in usual["next"]
        assert "after=" in usual["next"]
        follows = await get(client, usual["next"], token)
        assert follows["results"] == walked[1040:1090]
        elsewhere = await get(client, usual["next"].replace("offset=1040", "offset=0"), token)
        assert elsewhere["results"] == walked[:50], "a position is good for its own page alone"
