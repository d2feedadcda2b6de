"""A person who only signed up: closed contracts answer as for one who never existed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from dragoman import app, dialects
from dragoman.actions import users
from dragoman.settings import Settings
from tests.support import user_requests
from tests.support.clients import CLOSED, Person
from tests.support.databases import declared_only, query, settings_for
from tests.support.people import SYSTEM_ACTOR
from tests.support.running_app import running_client
from tests.support.user_requests import SIGN_INS, SIGN_UP_PATHS
from tests.support.world import World

pytestmark = pytest.mark.anyio

PASSWORD = "violet-Kettle-42"
NOBODY = Person(987_654_321, "u" * 17, "nobody", "nobody@example.com", PASSWORD)
OPEN = [name for name in SIGN_UP_PATHS if name in dialects.NAMES]


def open_settings(database: str) -> Settings:
    """Return settings with which nobody becomes an owner by registering first."""
    return settings_for(database, **declared_only(first_user_is_admin=False))


async def sign_up(http: httpx.AsyncClient, database: str, contract: str) -> Person:
    """Register somebody at a contract, through its prefix."""
    name = f"new-{contract}"
    person = Person(0, "", name, f"{name}@example.com", PASSWORD, approved=False)
    request = user_requests.sign_up(contract, person)
    answer = await http.request(request.method, f"/{contract}{request.path}", json=request.body)
    assert answer.is_success, answer.text
    ((person.id, person.public_id),) = await query(
        database, f"SELECT id, public_id FROM users WHERE username = '{name}'"
    )
    return person


def requests_about(contract: str, person: Person) -> list[tuple[str, str, Any, bool]]:
    """Return method, path, body, and whether an administrator asks, of requests about somebody."""
    path, field = SIGN_INS[contract]
    found: list[tuple[str, str, Any, bool]] = [
        ("POST", path, {field: person.email, "password": word}, False)
        for word in (PASSWORD, f"{PASSWORD}-wrong")
    ]
    if contract == "binacle":
        target = f"/binacle/api/users/{quote(person.email)}"
        found += [
            ("PUT", target, {"type": "Admin"}, True),
            ("PUT", target, {"status": "Inactive"}, True),
            ("PATCH", target, {"newPassword": "another-Kettle-43"}, True),
            ("DELETE", target, None, True),
        ]
    if contract == "vsay":
        target = f"/vsay/users/usr_{person.public_id}"
        found += [
            ("GET", target, None, True),
            ("PUT", target, {"role": "admin"}, True),
            ("PUT", f"{target}/permissions", {"machine_access": []}, True),
            ("DELETE", target, None, True),
            ("GET", f"/vsay/users?search={quote(person.email)}", None, True),
        ]
    return found


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Return what a client sees of an answer, without the time and the request's id."""
    varying = {"date", "x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset"}
    headers = {name: value for name, value in answer.headers.items() if name not in varying}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("signed_up_at", OPEN)
@pytest.mark.parametrize("contract", sorted(CLOSED))
async def test_closed_contracts_answer_as_for_nobody(
    seeded_database: tuple[str, World], contract: str, signed_up_at: str
) -> None:
    database, world = seeded_database
    headers = {"Authorization": f"Bearer {world.people['root'].tokens[contract]}"}
    async with running_client(open_settings(database)) as http:
        person = await sign_up(http, database, signed_up_at)
        pairs = zip(requests_about(contract, person), requests_about(contract, NOBODY), strict=True)
        for (method, path, body, by_admin), (_, nobody_path, nobody_body, _) in pairs:
            used = headers if by_admin else {}
            about = await http.request(method, path, json=body, headers=used)
            nobody = await http.request(method, nobody_path, json=nobody_body, headers=used)
            assert comparable(about) == comparable(nobody), (method, path)
    rows = await query(
        database, f"SELECT approved, active, auth_epoch FROM users WHERE id = {person.id}"
    )
    assert [tuple(map(int, row)) for row in rows] == [(0, 1, 0)]


@pytest.mark.skipif("vsay" not in CLOSED, reason="needs a closed contract with a list")
async def test_a_closed_list_neither_shows_nor_counts_who_signed_up(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    headers = {"Authorization": f"Bearer {world.people['root'].tokens['vsay']}"}
    async with running_client(open_settings(database)) as http:

        async def total(**params: str) -> int:
            answer = await http.get("/vsay/users", params=params, headers=headers)
            data = answer.json()["data"]
            assert len(data["users"]) == data["pagination"]["total"]
            return data["pagination"]["total"]

        before = await total(), await total(role="member"), await total(search="new-")
        person = await sign_up(http, database, OPEN[0])
        after = await total(), await total(role="member"), await total(search="new-")
        assert after == before
        async with (
            app.open_directory(settings_for(database)) as directory,
            directory.begin(SYSTEM_ACTOR) as tx,
        ):
            await users.approve(tx, person.id)
        approved = await total(), await total(role="member"), await total(search="new-")
        assert approved == tuple(count + 1 for count in before)


def test_contracts_without_a_sign_up_know_approved_users_only() -> None:
    assert {name for name in dialects.NAMES if name not in SIGN_UP_PATHS} == CLOSED


@pytest.mark.skipif("binacle" not in CLOSED, reason="needs a closed contract")
async def test_everywhere_opens_them(database: str) -> None:
    settings = msgspec.structs.replace(open_settings(database), sign_up_reach="everywhere")
    async with running_client(settings) as http:
        for contract in OPEN:
            person = await sign_up(http, database, contract)
            for closed in CLOSED:
                path, field = SIGN_INS[closed]
                answer = await http.post(path, json={field: person.email, "password": PASSWORD})
                assert answer.status_code == 200, closed
