"""Permissions that were granted elsewhere change nothing here."""

from __future__ import annotations

import pytest

from dragoman import app
from dragoman.actions import permissions
from dragoman.actions.system import system_actor
from dragoman.rules.policy import PERMISSION_CATALOGUE
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def test_a_member_who_holds_them_all_is_no_administrator(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    settings = settings_for(database)
    mia, vic = world.people["mia"], world.people["vic"]
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        await permissions.grant(tx, mia.id, [number for number, *_ in PERMISSION_CATALOGUE])
    headers = {"Authorization": f"Bearer {mia.tokens['wekan']}"}
    refused = [
        ("GET", "/api/users", None),
        ("POST", "/api/users", {"username": "new", "password": "x"}),
        ("GET", f"/api/users/{vic.public_id}", None),
        ("GET", f"/api/users/{mia.public_id}", None),
        ("PUT", f"/api/users/{vic.public_id}", {"action": "disableLogin"}),
        ("PUT", f"/api/user/{vic.public_id}", {"action": "disableLogin"}),
        ("DELETE", f"/api/users/{vic.public_id}", None),
        ("POST", f"/api/createtoken/{vic.public_id}", None),
        ("POST", "/api/deletetoken", {"userId": vic.public_id}),
    ]
    async with running_client(settings) as client:
        for method, path, body in refused:
            answer = await client.request(method, f"/wekan{path}", headers=headers, json=body)
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.json()["error"] == "Forbidden"
        shown = (await client.get("/wekan/api/user", headers=headers)).json()
    assert shown["isAdmin"] is False
