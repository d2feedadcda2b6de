"""Groups in the user object: whose member one is, and what that lets one do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dragoman.actions import groups
from dragoman.actions.system import system_actor
from dragoman.app import open_directory
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio


async def make_group(database: str, tenant_id: int, ids: list[int], member: int) -> int:
    async with (
        open_directory(settings_for(database)) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        made = await groups.create(tx, tenant_id, f"group of {member}", ids)
        await groups.add_member(tx, made.group.id, member)
        return made.group.id


async def request(
    client: httpx.AsyncClient, world: World, who: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Token {world.people[who].tokens['accounts']}"}
    answer = await client.request(method, f"/api/users{path}", headers=headers, json=body)
    return answer.status_code, answer.json() if answer.content else None


async def test_a_group_is_shown_and_holds(seeded_database: tuple[str, World]) -> None:
    """Its permissions work, but are no grants of the user's own."""
    database, world = seeded_database
    people, acme = world.people, world.tenants["acme"].id
    mia, vic = people["mia"].id, people["vic"].id
    group = await make_group(database, acme, [3, 8], mia)
    async with running_client(settings_for(database)) as client:
        for who, shown_groups in ("mia", [group]), ("olga", [group]), ("vic", []):
            status, shown = await request(client, world, who, "GET", f"/{mia}")
            assert (status, shown["groups"], shown["permissions"]) == (200, shown_groups, []), who
            _, page = await request(client, world, who, "GET", "?limit=1&offset=2")
            assert [user["groups"] for user in page["results"]] == [shown_groups], who
        assert await request(client, world, "mia", "GET", f"/{mia}/permissions") == (200, [])

        status, shown = await request(
            client, world, "mia", "PUT", f"/{vic}", {"first_name": "Vicky"}
        )
        assert (status, shown["first_name"]) == (200, "Vicky")
        status, granted = await request(
            client, world, "mia", "PUT", f"/{vic}/permissions", {"permissions": [3]}
        )
        assert (status, [one["id"] for one in granted]) == (200, [3])
        status, _ = await request(
            client, world, "mia", "PUT", f"/{vic}/permissions", {"permissions": [3, 4]}
        )
        assert status == 403, "nobody grants what it does not hold"
        owner = people["olga"].id
        status, _ = await request(client, world, "mia", "PUT", f"/{owner}", {"first_name": "X"})
        assert status == 403, "a group reaches no higher rank either"


async def test_a_sign_in_tells_groups_and_grants(seeded_database: tuple[str, World]) -> None:
    """As the user itself sees them."""
    database, world = seeded_database
    mia = world.people["mia"]
    group = await make_group(database, world.tenants["acme"].id, [1], mia.id)
    async with running_client(settings_for(database)) as client:
        await request(client, world, "olga", "PUT", f"/{mia.id}/permissions", {"permissions": [2]})
        body = {"username": "mia", "password": mia.password}
        shown = (await client.post("/api/users/signin", json=body)).json()
    assert (shown["groups"], shown["permissions"]) == ([group], [2])
