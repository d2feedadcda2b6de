"""A granted permission lets a member do more here, by rank and by what it holds, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from dragoman import app
from dragoman.actions import permissions
from dragoman.actions.system import system_actor
from dragoman.rules.policy import PERMISSION_CATALOGUE
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

IDS = {code: number for number, code, _, _ in PERMISSION_CATALOGUE}


class GrantedMember:
    """Mia, with some permissions, at this contract."""

    def __init__(self, client: httpx.AsyncClient, world: World) -> None:
        self.client = client
        self.world = world

    def path(self, name: str) -> str:
        return f"/users/usr_{self.world.people[name].public_id}"

    async def asks(
        self, method: str, path: str, body: Any = None, by: str = "mia"
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.world.people[by].tokens['vsay']}"}
        answer = await self.client.request(method, path, json=body, headers=headers)
        return answer.status_code, answer.json()


@contextlib.asynccontextmanager
async def granted_member(
    seeded_database: tuple[str, World], *codes: str
) -> AsyncGenerator[GrantedMember]:
    database, world = seeded_database
    settings = settings_for(database)
    async with (
        app.open_directory(settings) as directory,
        directory.begin(system_actor("tests")) as tx,
    ):
        await permissions.grant(tx, world.people["mia"].id, [IDS[code] for code in codes])
    async with running_client(settings) as client:
        yield GrantedMember(client, world)


async def test_who_may_change_users(seeded_database: tuple[str, World]) -> None:
    async with granted_member(seeded_database, "users.change") as mia:
        status, body = await mia.asks("PUT", mia.path("vic"), {"name": "Victor Vale"})
        assert (status, body["data"]["name"]) == (200, "Victor Vale")
        assert (await mia.asks("PUT", mia.path("mia"), {"name": "Mia"}))[0] == 200
        for name in ("olga", "otto"):
            status, body = await mia.asks("PUT", mia.path(name), {"name": "X"})
            assert (status, body["error"]["code"]) == (403, "FORBIDDEN"), "of higher rank"
        assert (await mia.asks("PUT", mia.path("gus"), {"name": "X"}))[0] == 404
        for role in ("member", "admin"):
            status, _ = await mia.asks("PUT", mia.path("vic"), {"role": role, "name": "Y"})
            assert status == 403, "roles are another permission, which nobody is granted"
        assert (await mia.asks("GET", mia.path("vic")))[1]["data"]["name"] == "Victor Vale"
        status, body = await mia.asks("PUT", mia.path("vic"), {"role": "viewer", "name": "Vic"})
        assert (status, body["data"]["name"]) == (200, "Vic"), "the role that it has is no change"
        for name, status in (("olga", 403), ("gus", 404)):
            role = "admin" if name == "olga" else "viewer"
            assert (await mia.asks("PUT", mia.path(name), {"role": role, "name": "X"}))[0] == status
        assert (await mia.asks("DELETE", mia.path("vic")))[0] == 403
        assert (await mia.asks("POST", "/users/invite", {}))[0] == 403


async def test_who_may_delete_users(seeded_database: tuple[str, World]) -> None:
    async with granted_member(seeded_database, "users.delete") as mia:
        assert (await mia.asks("DELETE", mia.path("olga")))[0] == 403
        assert (await mia.asks("DELETE", mia.path("gus")))[0] == 404
        assert (await mia.asks("DELETE", mia.path("vic")))[0] == 200
        assert (await mia.asks("DELETE", mia.path("vic")))[0] == 404


async def test_who_may_set_access(seeded_database: tuple[str, World]) -> None:
    async with granted_member(seeded_database, "access.set") as mia:
        holds = [
            {"machine_id": "mch_1", "access_level": "full"},
            {"machine_id": "mch_2", "access_level": "read_only"},
        ]
        status, _ = await mia.asks(
            "PUT", f"{mia.path('mia')}/permissions", {"machine_access": holds}, by="olga"
        )
        assert status == 200
        vic = f"{mia.path('vic')}/permissions"
        fine = [[], holds, [{"machine_id": "mch_1", "access_level": "connect_only"}]]
        for access in fine:
            assert (await mia.asks("PUT", vic, {"machine_access": access}))[0] == 200
        beyond = [
            {"machine_id": "mch_2", "access_level": "full"},
            {"machine_id": "mch_3", "access_level": "read_only"},
        ]
        for each in beyond:
            for whom in ("vic", "mia"):
                path = f"{mia.path(whom)}/permissions"
                status, body = await mia.asks("PUT", path, {"machine_access": [each]})
                assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
        status, seen = await mia.asks("GET", mia.path("vic"))
        assert seen["data"]["machine_access"] == fine[2], "who sets access sees it"
        olga = f"{mia.path('olga')}/permissions"
        assert (await mia.asks("PUT", olga, {"machine_access": []}))[0] == 403


async def test_who_may_invite(seeded_database: tuple[str, World]) -> None:
    async with granted_member(seeded_database, "invitations.manage") as mia:
        for role, expected in (("viewer", 201), ("member", 201), ("admin", 403)):
            body = {"email": f"{role}@example.com", "role": role}
            assert (await mia.asks("POST", "/users/invite", body))[0] == expected
        more = {"email": "x@example.com", "role": "viewer", "machine_ids": ["mch_1"]}
        status, refused = await mia.asks("POST", "/users/invite", more)
        assert (status, refused["error"]["code"]) == (403, "FORBIDDEN"), "not hers to open"
        status, listed = await mia.asks("GET", "/users/invitations")
        assert listed["data"]["pagination"]["total"] == 2
        path = f"/users/invitations/{listed['data']['invitations'][0]['invitation_id']}"
        assert (await mia.asks("POST", f"{path}/resend"))[0] == 200
        assert (await mia.asks("DELETE", path))[0] == 200
        status, _ = await mia.asks("POST", "/users/invite", {**more, "role": "king"})
        assert status in {400, 403}
