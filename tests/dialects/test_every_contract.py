"""What must hold at each contract alike, however its requests are written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dragoman import dialects
from dragoman.actions.password_hashing import PasswordHasherPool
from tests.support.clients import CLIENTS, Client, Person, RefusedResponse
from tests.support.databases import declared_only, query, settings_for
from tests.support.running_app import running_client
from tests.support.user_requests import SIGN_INS
from tests.support.world import World

pytestmark = pytest.mark.anyio

every_contract = pytest.mark.parametrize("name", list(CLIENTS))


@pytest.fixture
async def http(seeded_database: tuple[str, World]) -> AsyncIterator[httpx.AsyncClient]:
    async with running_client(settings_for(seeded_database[0])) as client:
        yield client


@pytest.fixture
def world(seeded_database: tuple[str, World]) -> World:
    return seeded_database[1]


def client_at(name: str, http: httpx.AsyncClient, credential: str = "") -> Any:
    return CLIENTS[name](http, "prefix", credential)


def person(world: World, name: str, **changes: Any) -> Person:
    found = world.people[name]
    told = {"username": found.username, "email": found.email, "password": found.password}
    return Person(found.id, found.public_id, **{**told, **changes})


@every_contract
async def test_every_failed_sign_in_is_the_same_bytes_after_the_same_work(
    name: str, http: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    plain = PasswordHasherPool.verify

    async def counted(self: PasswordHasherPool, password: str, encoded: str) -> bool:
        done.append(encoded)
        return await plain(self, password, encoded)

    monkeypatch.setattr(PasswordHasherPool, "verify", counted)
    root = client_at("wiwebb", http, world.people["root"].token)
    await root.delete(person(world, "otto"))
    path, field = SIGN_INS[name]
    said: set[tuple[int, bytes, str]] = set()
    for email, password in (
        (world.people["mia"].email, "wrong-Kettle-42"),
        (world.people["idle"].email, world.people["idle"].password),
        (world.people["otto"].email, world.people["otto"].password),
        ("nobody@nowhere.test", "violet-Kettle-42"),
        ("ädmin@nowhere.test", "violet-Kettle-42"),
        (world.people["mia"].email, world.people["mia"].password + " "),
        (world.people["mia"].email, "x" * 100),
    ):
        before = len(done)
        answer = await http.post(path, json={field: email, "password": password})
        assert len(done) == before + 1, (email, len(done) - before)
        kept = {"x-request-id", "date", "x-ratelimit-remaining"}
        headers = sorted(pair for pair in answer.headers.items() if pair[0] not in kept)
        said.add((answer.status_code, answer.content, repr(headers)))
    assert len(said) == 1, said
    assert said.pop()[0] in {400, 401}


@every_contract
async def test_only_who_holds_an_address_as_such_signs_in_by_it(
    name: str, http: httpx.AsyncClient, world: World
) -> None:
    """Upper case and width are the same address; a username is none."""
    path, field = SIGN_INS[name]
    mia = world.people["mia"]
    for known in (mia.email.upper(), mia.email):
        body = {field: known, "password": mia.password}
        assert (await http.post(path, json=body)).status_code == 200
    answer = await http.post(path, json={field: mia.username, "password": mia.password})
    assert (answer.status_code == 200) is (field == "username")


@every_contract
async def test_no_administrator_of_the_platform_is_seen_or_touched(
    name: str, http: httpx.AsyncClient, world: World, seeded_database: tuple[str, World]
) -> None:
    if name == "wiwebb":
        pytest.skip("the one contract that knows them")
    before = await database_state(seeded_database[0], "root", "ada")
    for who in ("root", "ada", "olga"):
        client = client_at(name, http, world.people[who].tokens[name])
        for whom in ("root", "ada"):
            if who == whom:
                continue
            target = person(world, whom)
            for verb, arguments in ACTION_ARGUMENTS.items():
                if hasattr(client, verb):
                    with pytest.raises(RefusedResponse) as refused:
                        await getattr(client, verb)(target, **arguments)
                    assert refused.value.status == 404, (who, verb, whom)
            if name != "binacle":
                assert await client.find_user(target) is None
                listed = await client.everybody()
                assert not {target.username, target.email} & listed
    assert await database_state(seeded_database[0], "root", "ada") == before


ACTION_ARGUMENTS: dict[str, dict[str, Any]] = {
    "rename": {"first": "Eve", "last": "Evans"},
    "move": {"email": "eve@evil.test"},
    "switch": {"active": False},
    "set_password": {"password": "another-Kettle-43"},
    "promote": {"owner": False},
    "delete": {},
}


async def database_state(database: str, *names: str) -> list[Any]:
    listed = ", ".join(f"'{name}'" for name in names)
    return await query(
        database,
        "SELECT username, email, first_name, role, active, auth_epoch, password_hash, deleted_at"
        f" FROM users WHERE username IN ({listed}) ORDER BY id",
    )


@every_contract
async def test_an_administrator_without_a_tenant_acts_over_the_settings_one(
    name: str, http: httpx.AsyncClient, world: World
) -> None:
    if name == "wiwebb":
        pytest.skip("there it acts over all of them")
    client = client_at(name, http, world.people["ada"].tokens[name])
    for whom in ("mia", "olga", "gil"):
        for verb, arguments in ACTION_ARGUMENTS.items():
            if hasattr(client, verb):
                with pytest.raises(RefusedResponse) as refused:
                    await getattr(client, verb)(person(world, whom), **arguments)
                assert refused.value.status == 404, (verb, whom)
    if hasattr(client, "everybody"):
        assert await client.everybody() == set()


SIGN_UPS: dict[str, tuple[str, dict[str, Any]]] = {
    "accounts": ("/accounts/api/users/signup", {}),
    "wekan": ("/wekan/users/register", {}),
    "wiwebb": (
        "/wiwebb/api/v1/auth/registration/",
        {"password1": "violet-Kettle-42", "password2": "violet-Kettle-42"},
    ),
}
FORBIDDEN_SIGN_UP_FIELDS: dict[str, Any] = {
    "role": "superadmin", "tenant": 1, "tenant_id": 1, "id": 1, "_id": "x" * 17, "is_active": False,
    "is_superuser": True, "is_staff": True, "isAdmin": True, "admin": True, "groups": [1],
    "permissions": [1, 2, 3], "user_permissions": [1], "email_verified": True, "verified": True,
    "type": "Admin", "status": "Active", "auth_epoch": 9, "password_hash": "x", "public_id": "y",
    "roles": ["owner"], "fromAdmin": "true", "token": "z", "machine_ids": ["mch_1"],
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SIGN_UPS if name in CLIENTS])
async def test_sign_up_grants_no_privileges(
    name: str, seeded_database: tuple[str, World], world: World
) -> None:
    path, more = SIGN_UPS[name]
    database = seeded_database[0]
    async with running_client(
        settings_for(database, **declared_only(first_user_is_admin=False))
    ) as http:
        body = {**FORBIDDEN_SIGN_UP_FIELDS, "username": "eve", "email": "eve@evil.test", **more}
        answer = await http.post(path, json={"password": "violet-Kettle-42", **body})
        assert answer.is_success, answer.text
        ((role, tenant, active, verified, epoch),) = await query(
            database,
            "SELECT role, tenant_id, active, verified, auth_epoch FROM users"
            " WHERE username = 'eve'",
        )
        assert (role, tenant, bool(active), bool(verified), epoch) == (
            3, world.tenants["main"].id, True, False, 0,
        )  # fmt: skip
        for table in ("grants", "group_members", "access"):
            assert await query(database, f"SELECT * FROM {table}") == []


@every_contract
async def test_a_credential_in_the_query_or_a_cookie_is_none(
    name: str, http: httpx.AsyncClient, world: World
) -> None:
    token = world.people["olga"].tokens[name]
    client: Client = client_at(name, http, token)
    assert await client.is_accepted(person(world, "olga"))
    path = {
        "accounts": "/api/users", "binacle": "/api/users/a@b.test", "vsay": "/users",
        "wekan": "/api/user", "wiwebb": "/api/v1/users/",
    }[name]  # fmt: skip
    method = "DELETE" if name == "binacle" else "GET"
    for key in ("access_token", "token", "key", "auth", "Authorization"):
        for headers in ({}, {"Cookie": f"{key}={token}"}, {"X-Auth-Token": token}):
            answer = await http.request(
                method, f"/{name}{path}", params={key: token}, headers=headers
            )
            assert answer.status_code == 401, (key, headers)
            assert token not in answer.text


LISTS = {
    "wiwebb": "/wiwebb/api/v1/users",
    "accounts": "/accounts/api/users",
    "binacle": "/binacle/api/users",
    "wekan": "/wekan/api/users",
    "vsay": "/vsay/users",
}


@every_contract
async def test_a_line_break_in_a_path_is_part_of_it(
    name: str, http: httpx.AsyncClient, world: World
) -> None:
    scheme = dialects.load(name).CONTRACT.scheme
    headers = {"Authorization": f"{scheme} {world.people['olga'].tokens[name]}"}
    nowhere = await http.get(f"/{name}/nowhere", headers=headers)
    assert nowhere.status_code == 404
    for path in (f"/{name}/a%0Ab", f"{LISTS[name]}%0A", f"{LISTS[name]}%0A/", f"/{name}/%0A"):
        answer = await http.get(path, headers=headers)
        assert answer.status_code == 404, path
        assert answer.headers.get("content-type") == nowhere.headers.get("content-type"), path
        assert answer.headers["x-request-id"]


@every_contract
async def test_disabled_sign_up_validates_nothing(
    name: str, seeded_database: tuple[str, World]
) -> None:
    path = {
        "wiwebb": "/wiwebb/api/v1/auth/registration/",
        "accounts": "/accounts/api/users/signup",
        "wekan": "/wekan/users/register",
    }.get(name)
    if path is None:
        pytest.skip("it has none")
    async with running_client(settings_for(seeded_database[0], self_registration=False)) as client:
        json = {"Content-Type": "application/json"}
        said = [await client.post(path, content=body, headers=json) for body in (b"{}", b"{", b"7")]
    assert [(each.status_code, each.content) for each in said] == [(403, said[0].content)] * 3
