"""At the root: whose is a path that several contracts document."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from dragoman import dialects
from tests.support.databases import query, settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not {"accounts", "binacle", "wekan"} <= set(dialects.NAMES),
        reason="the three contracts that share paths are not all here",
    ),
]

ORDER = ("accounts", "binacle", "vsay", "wekan", "wiwebb")
NOT_GIVEN = '{"detail":"Authentication credentials were not provided."}'
EMPTY = ""
UNAUTHORIZED = '"reason":"Unauthorized"'
SCHEMES = {"accounts": "Token", "wiwebb": "Token"}


@pytest.fixture(params=[ORDER, ORDER[::-1], ("wekan", "vsay", "binacle", "accounts", "wiwebb")])
def contract_order(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Orders of the settings."""
    return request.param


@pytest.fixture
async def client(
    seeded_database: tuple[str, World], contract_order: tuple[str, ...]
) -> AsyncIterator[httpx.AsyncClient]:
    async with running_client(settings_for(seeded_database[0], contracts=contract_order)) as client:
        yield client


def answering_contract(answer: httpx.Response) -> str:
    """Tell by its refusal which contract has answered."""
    if not answer.content:
        return "binacle"
    return "wekan" if "isClientSafe" in answer.text else "accounts"


DOCUMENTED = [
    ("GET", "/api/users", {"accounts", "wekan"}),
    ("HEAD", "/api/users", {"accounts", "wekan"}),
    ("POST", "/api/users", {"binacle", "wekan"}),
    ("GET", "/api/users/7", {"accounts", "wekan"}),
    ("GET", "/api/users/BsNr28znDkG8aeo7W", {"accounts", "wekan"}),
    ("PUT", "/api/users/a@b.test", {"accounts", "binacle", "wekan"}),
    ("PATCH", "/api/users/a@b.test", {"binacle"}),
    ("DELETE", "/api/users/7", {"accounts", "binacle", "wekan"}),
    ("DELETE", "/api/users/7/", {"accounts", "binacle", "wekan"}),
]
INVALID_HEADERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer nobody-has-this"},
    {"Authorization": "Token " + "0" * 40},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer a b"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"X-Contract": "wekan", "Cookie": "contract=wekan"},
]


@pytest.mark.parametrize(("method", "path", "who"), DOCUMENTED)
async def test_without_a_valid_credential_the_first_that_documents_it_refuses(
    client: httpx.AsyncClient,
    contract_order: tuple[str, ...],
    method: str,
    path: str,
    who: set[str],
) -> None:
    first = next(name for name in contract_order if name in who)
    for headers in INVALID_HEADERS:
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 401, (headers, answer.text)
        if method != "HEAD":
            assert answering_contract(answer) == first, (headers, answer.text)


async def test_the_credential_decides_never_the_look_of_a_path_or_body(
    client: httpx.AsyncClient, seeded_database: tuple[str, World]
) -> None:
    olga, mia = (seeded_database[1].people[name] for name in ("olga", "mia"))

    async def ask(contract: str, method: str, path: str, **more: Any) -> httpx.Response:
        scheme = SCHEMES.get(contract, "Bearer")
        headers = {"Authorization": f"{scheme} {olga.tokens[contract]}"}
        return await client.request(method, path, headers=headers, **more)

    page = (await ask("accounts", "GET", "/api/users")).json()
    assert page["count"] == len(page["results"]) > 1
    listed = (await ask("wekan", "GET", "/api/users")).json()
    assert {"_id": mia.public_id, "username": "mia"} in listed
    assert (await ask("binacle", "GET", "/api/users")).status_code == 405
    assert (await ask("accounts", "GET", f"/api/users/{mia.id}")).json()["id"] == mia.id
    assert (await ask("wekan", "GET", f"/api/users/{mia.public_id}")).json()["username"] == "mia"
    action = {"action": "unknown", "type": "User", "first_name": "Mia"}
    by_wekan = await ask("wekan", "PUT", f"/api/users/{mia.public_id}", json=action)
    assert by_wekan.json()["_id"] == mia.public_id
    by_accounts = await ask("accounts", "PUT", f"/api/users/{mia.id}", json=action)
    assert by_accounts.json()["first_name"] == "Mia"
    by_binacle = await ask("binacle", "PUT", f"/api/users/{mia.email}", json=action)
    assert by_binacle.status_code == 204
    assert (await ask("accounts", "POST", "/api/users", json={})).status_code == 405


async def test_what_one_contract_writes_out_is_no_others_parameter(
    client: httpx.AsyncClient, seeded_database: tuple[str, World]
) -> None:
    world = seeded_database[1]
    for token in ("", world.people["olga"].tokens["wekan"], world.people["olga"].tokens["vsay"]):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"username": "mia", "password": world.people["mia"].password}
        answer = await client.post("/api/users/signin", json=body, headers=headers)
        assert answer.json()["username"] == "mia"
        answer = await client.post("/users/login", json=body, headers=headers)
        assert answer.json().keys() == {"id", "token", "tokenExpires"}


async def test_a_credential_that_has_died_decides_nothing(
    client: httpx.AsyncClient, seeded_database: tuple[str, World], contract_order: tuple[str, ...]
) -> None:
    olga, root = (seeded_database[1].people[name] for name in ("olga", "root"))
    headers = {"Authorization": f"Bearer {olga.tokens['wekan']}"}
    assert (await client.get("/api/users", headers=headers)).status_code == 200
    off = await client.post(
        f"/api/v1/users/{olga.id}/activate/",
        json={"is_active": False},
        headers={"Authorization": f"Token {root.token}"},
    )
    assert off.status_code == 200
    answer = await client.get("/api/users", headers=headers)
    first = next(name for name in contract_order if name in {"accounts", "wekan"})
    assert (answer.status_code, answering_contract(answer)) == (401, first)


async def test_a_credential_in_another_contracts_scheme_is_none(
    client: httpx.AsyncClient, seeded_database: tuple[str, World]
) -> None:
    tokens = seeded_database[1].people["olga"].tokens
    for scheme, name in (("Token", "wekan"), ("Bearer", "accounts"), ("Bearer", "vsay")):
        headers = {"Authorization": f"{scheme} {tokens[name]}"}
        assert (await client.get("/api/users", headers=headers)).status_code == 401


async def test_two_credentials_are_none(
    client: httpx.AsyncClient, seeded_database: tuple[str, World]
) -> None:
    tokens = seeded_database[1].people["olga"].tokens
    headers = [("Authorization", f"Bearer {tokens[name]}") for name in ("wekan", "binacle")]
    assert (await client.get("/api/users", headers=headers)).status_code == 401


SERVED = """
import sys
from dragoman import app
from dragoman.settings import Settings
app.create(Settings(database="sqlite:///x.db", secret_key=bytes(32), contracts=("vsay", "accounts")))
print(sorted(n.split(".")[2] for n in sys.modules if n.startswith("dragoman.dialects.") and n.endswith(".routes")))
"""


async def test_a_contract_that_is_off_is_never_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVED], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "['accounts', 'vsay']", done.stderr


async def test_a_contract_that_is_off_is_nowhere(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    olga = world.people["olga"]
    settings = msgspec.structs.replace(settings_for(database), contracts=("accounts", "wiwebb"))
    async with running_client(settings) as client:
        headers = {"Authorization": f"Bearer {olga.tokens['wekan']}"}
        assert (await client.get("/wekan/api/user", headers=headers)).status_code == 404
        assert (await client.get("/api/user", headers=headers)).status_code == 404
        assert answering_contract(await client.get("/api/users", headers=headers)) == "accounts"
        assert (await client.post("/users/login", json={})).status_code == 404
    assert await query(database, "SELECT count(*) FROM users WHERE username = 'olga'") == [(1,)]
