"""The list of all users, which is written while it is read, and what the history holds."""

from __future__ import annotations

import httpx
import pytest

from dragoman.actions import user_lists
from dragoman.rules.errors import Unavailable
from dragoman.web import logs, resource
from tests.support.databases import audit_rows, settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio
ACME = ["olga", "otto", "mia", "idle", "vic"]


def headers_of(world: World, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.people[name].tokens['wekan']}"}


@pytest.mark.parametrize("stride", [1, 2, 4, 5, 6])
async def test_it_is_whole_however_it_is_read(
    stride: int, seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, world = seeded_database
    monkeypatch.setattr(user_lists, "BATCH_SIZE", stride)
    async with running_client(settings_for(database)) as client:
        answer = await client.get("/wekan/api/users", headers=headers_of(world, "olga"))
        assert [user["username"] for user in answer.json()] == ACME
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]
        assert "content-length" not in answer.headers, "it is told before it is known"


async def test_who_is_created_or_deleted_meanwhile_spoils_nothing(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody who was there all the time is in it, and once."""
    database, world = seeded_database
    monkeypatch.setattr(user_lists, "BATCH_SIZE", 1)
    olga = headers_of(world, "olga")
    async with running_client(settings_for(database)) as client:
        plain = user_lists.pages.page
        pages = 0

        async def disturbed(*given, **named):
            nonlocal pages
            pages += 1
            if pages == 3:
                gone = world.people["mia"].public_id
                await client.delete(f"/wekan/api/users/{gone}", headers=olga)
                body = {"username": "late", "password": "x"}
                await client.post("/wekan/api/users", headers=olga, json=body)
            return await plain(*given, **named)

        monkeypatch.setattr(user_lists.pages, "page", disturbed)
        answer = await client.get("/wekan/api/users", headers=olga)
    assert [user["username"] for user in answer.json()] == ["olga", "otto", "idle", "vic", "late"]


async def test_head_reads_no_more_than_it_needs(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with running_client(settings_for(database)) as client:
        for _ in range(3):
            answer = await client.head("/wekan/api/users", headers=headers_of(world, "olga"))
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"] == "application/json"
            assert "content-length" not in answer.headers, "GET tells none either"


async def test_the_audit_names_new_users(seeded_database: tuple[str, World]) -> None:
    """Who came, by whom, and the names of the fields that were given: never what stood in them."""
    database, world = seeded_database
    before = (await audit_rows(database))[-1].id
    async with running_client(settings_for(database)) as client:
        new_user = {
            "username": "first",
            "email": "first@example.com",
            "password": "violet-Kettle-42",
        }
        first = await client.post("/users/register", json=new_user)
        await client.post("/users/register", json={"username": "second", "password": "x"})
        body = {"email": "made@example.com", "password": "x"}
        await client.post("/wekan/api/users", json=body, headers=headers_of(world, "olga"))
        assert first.status_code == 200
    rows = [row for row in await audit_rows(database, before) if row.contract == "wekan"]
    assert [(row.actor_kind, row.action) for row in rows] == [
        ("visitor", "users.sign_up"),
        ("visitor", "users.sign_up"),
        ("user", "users.create"),
    ]
    assert rows[2].actor_id == world.people["olga"].id
    for row in rows:
        assert not {"first", "second", "made@example.com", "password"} & set(row.fields.split())


async def test_of_many_who_come_first_one_is_the_owner(
    client: httpx.AsyncClient,
) -> None:
    """Decided atomically: however many register at the same moment."""
    import anyio

    tokens: list[str] = []

    async def come(number: int) -> None:
        new_user = {"username": f"runner{number}", "password": "violet-Kettle-42"}
        answer = await client.post("/users/register", json=new_user)
        assert answer.status_code == 200, answer.text
        tokens.append(answer.json()["token"])

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(come, number)
    shown = [
        (await client.get("/api/user", headers={"Authorization": f"Bearer {token}"})).json()
        for token in tokens
    ]
    assert sum(user["isAdmin"] for user in shown) == 1


async def test_an_answer_that_cannot_be_finished_is_cut_off_and_noted(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes half a list for a whole one, and the log says what it was without its words."""
    database, world = seeded_database
    monkeypatch.setattr(user_lists, "BATCH_SIZE", 1)
    noted: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(resource, "throttle", logs.LogThrottle())
    monkeypatch.setattr(resource.log, "warning", lambda event, **told: noted.append((event, told)))
    async with running_client(settings_for(database)) as client:
        plain = user_lists.pages.page
        pages = 0

        async def breaking(*given, **named):
            nonlocal pages
            pages += 1
            if pages == 3:
                raise Unavailable("database")
            return await plain(*given, **named)

        monkeypatch.setattr(user_lists.pages, "page", breaking)
        with pytest.raises(resource.ResponseAborted):
            await client.get("/wekan/api/users", headers=headers_of(world, "olga"))
    assert [event for event, _ in noted] == ["unavailable"]
