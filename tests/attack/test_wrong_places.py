"""Every kind of secret where it must not work: 401 in the contract's words, and nothing changed."""

from __future__ import annotations

import base64
import os
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dragoman import dialects
from tests.attack.bench import Bench
from tests.attack.purse import (
    MISSING,
    SCHEMES,
    UNKNOWN,
    Words,
    operations,
    refusal_of,
    unlike,
)
from tests.authorization.rows import difference

pytestmark = pytest.mark.anyio

every = pytest.mark.parametrize("contract", dialects.NAMES)
SHARE = int(os.environ.get("FAULT_SHARE", "5"))
"""One of so many; 1 for all of them."""
QUERIES = (
    "token", "access_token", "api_key", "auth_token", "apikey", "key", "jwt", "authToken", "auth",
    "bearer", "Authorization", "authorization", "X-Auth-Token", "session", "sid", "id_token",
)  # fmt: skip


async def test_each_secret_opens_nothing_anywhere_else(bench: Bench) -> None:
    """Each live kind at each operation that takes a credential but its own contract's.

    Of what is dead or guessed, each at a share of them, another one each time.
    """
    before = await bench.rows.dump()
    wrong: list[str] = []
    asked = 0
    for contract in dialects.NAMES:
        places = operations(contract, bench.purse.world)
        for turn, (what, secret) in enumerate(bench.purse.foreign(contract).items()):
            headers = {"Authorization": f"{SCHEMES[contract]} {secret}"}
            step = 1 if what in bench.purse.live else SHARE
            for operation in places[turn % step :: step]:
                fault = unlike(await bench.ask(operation, headers), refusal_of(operation))
                wrong += [f"{what}: {operation}: {fault}"] if fault else []
                asked += 1
    assert wrong == []
    assert asked > 600, "nothing was tried"
    assert difference(before, await bench.rows.dump()) == []


@every
async def test_the_right_one_opens_every_one_of_those_places(bench: Bench, contract: str) -> None:
    """Else the refusals above would show nothing."""
    world = bench.purse.world
    own = world.people["mia"].tokens[contract]
    headers = {"Authorization": f"{SCHEMES[contract]} {own}"}
    for operation in operations(contract, world):
        if "logout" not in operation.path and operation.method != "DELETE":
            answer = await bench.client.request(
                operation.method, operation.path, headers=headers, json={}
            )
            assert answer.status_code not in {401, 500}, operation
            if "password" in operation.path and answer.is_success:
                raise AssertionError(operation)
    assert (await bench.ask(bench.at(contract), headers)).status_code in {200, 403}


def presentations(scheme: str, secret: str) -> dict[str, tuple[Any, bool]]:
    """Return ways to present a credential that are none; the second says if it counts as absent."""
    basic = base64.b64encode(f"{secret}:".encode()).decode()
    user = base64.b64encode(f"olga:{secret}".encode()).decode()
    other = "Bearer" if scheme == "Token" else "Token"
    return {
        "no header": ({}, True),
        "an empty header": ({"Authorization": ""}, True),
        "another scheme": ({"Authorization": f"{other} {secret}"}, True),
        "no scheme": ({"Authorization": secret}, True),
        "as a name": ({"Authorization": f"Basic {basic}"}, True),
        "as a password": ({"Authorization": f"Basic {user}"}, True),
        "as a digest": ({"Authorization": f'Digest username="{secret}"'}, True),
        "with a colon": ({"Authorization": f"{scheme}: {secret}"}, True),
        "with an equals sign": ({"Authorization": f"{scheme}={secret}"}, True),
        "another header": ({"X-Authorization": f"{scheme} {secret}"}, True),
        "of the proxy": ({"Proxy-Authorization": f"{scheme} {secret}"}, True),
        "an underscore": ({"X_Auth_Token": secret}, True),
        "x-auth-token": ({"X-Auth-Token": secret}, True),
        "x-api-key": ({"X-API-Key": secret}, True),
        "token": ({"Token": secret}, True),
        "a cookie": ({"Cookie": f"token={secret}; session={secret}; Authorization={secret}"}, True),
        "a forwarded user": ({"X-Forwarded-User": "olga", "Remote-User": "olga"}, True),
        "the scheme alone": ({"Authorization": scheme}, False),
        "two words": ({"Authorization": f"{scheme} {secret} {secret}"}, False),
        "split": ({"Authorization": f"{scheme} {secret[:9]} {secret[9:]}"}, False),
        "a list": ({"Authorization": f"{scheme} {secret}, {scheme} {secret}"}, False),
        "quoted": ({"Authorization": f'{scheme} "{secret}"'}, False),
        "as a parameter": ({"Authorization": f"{scheme} token={secret}"}, False),
        "padded": ({"Authorization": f"{scheme} {secret}="}, False),
        "a comma after it": ({"Authorization": f"{scheme} {secret},"}, False),
        "escaped": ({"Authorization": f"{scheme} %{ord(secret[0]):x}{secret[1:]}"}, False),
        "in wide letters": ([(b"Authorization", f"{scheme} \uff41{secret[1:]}".encode())], False),
        "the other case": ({"Authorization": f"{scheme} {secret.swapcase()}"}, False),
        "endless": ({"Authorization": f"{scheme} {secret}{'0' * 5000}"}, False),
        "twice": ([("Authorization", f"{scheme} {secret}")] * 2, False),
        "twice, one unknown": (
            [("Authorization", f"{scheme} {secret}"), ("Authorization", f"{scheme} none")],
            False,
        ),
    }


@every
async def test_a_live_credential_presented_in_another_way_is_none(
    bench: Bench, contract: str
) -> None:
    secret = bench.purse.secrets[f"{contract} credential"]
    before = await bench.rows.dump()
    wrong: dict[str, str] = {}
    for way, (headers, absent) in presentations(SCHEMES[contract], secret).items():
        answer = await bench.ask(bench.at(contract), headers)
        assert secret not in answer.text, way
        if absent:
            fault = unlike(answer, MISSING[contract])
        else:  # what is malformed is told in several ways, each of them a 401
            fault = "" if answer.status_code == 401 else str(answer.status_code)
        if fault:
            wrong[way] = fault
    assert wrong == {}
    assert difference(before, await bench.rows.dump()) == []


@every
async def test_a_credential_in_the_query_or_in_the_body_is_none(
    bench: Bench, contract: str
) -> None:
    secret = bench.purse.secrets[f"{contract} credential"]
    scheme = SCHEMES[contract]
    before = await bench.rows.dump()
    for key in QUERIES:
        for value in (secret, f"{scheme} {secret}"):
            answer = await bench.ask(bench.at(contract), {}, {key: value})
            assert unlike(answer, MISSING[contract]) == "", key
            assert secret not in answer.text
        at = bench.at(contract)
        answer = await bench.client.request(at.method, at.path, data={key: secret})
        assert unlike(answer, MISSING[contract]) == "", f"{key} in a form"
        answer = await bench.client.request(at.method, at.path, json={key: secret})
        assert unlike(answer, MISSING[contract]) == "", f"{key} in JSON"
    assert difference(before, await bench.rows.dump()) == []


async def test_nothing_but_a_refresh_token_refreshes(bench: Bench) -> None:
    """And what was presented in its place is as good as before: no family dies of it."""
    before = await bench.rows.dump()
    for what, secret in bench.purse.secrets.items():
        if what in {"refresh token", "dead spent refresh token"}:
            continue
        answer = await bench.client.post("/vsay/auth/refresh", json={"refresh_token": secret})
        assert unlike(answer, UNKNOWN["vsay"]) == "", what
    assert difference(before, await bench.rows.dump()) == []
    ada = bench.purse.world.people["ada"]
    mail = {"email": ada.email, "password": ada.password}
    pair = (await bench.client.post("/vsay/auth/login", json=mail)).json()["data"]
    given = {"refresh_token": pair["refresh_token"]}
    assert (await bench.client.post("/vsay/auth/refresh", json=given)).status_code == 200


async def test_nothing_but_an_invitation_s_secret_opens_it(bench: Bench) -> None:
    """Looked at or accepted, by the contract's paths or its page."""
    before = await bench.rows.dump()
    said: set[bytes] = set()
    pages: set[bytes] = set()
    for what, secret in bench.purse.secrets.items():
        if what == "invitation secret" or "/" in secret:
            continue
        quoted = quote(secret, safe="")
        path = f"/vsay/users/invitations/{quoted}"
        shown = await bench.client.get(path)
        accepted = await bench.client.post(f"{path}/accept", json={"password": "violet-Kettle-42"})
        page = await bench.client.post(
            f"/vsay/accept/{quoted}", data={"password": "violet-Kettle-42"}
        )
        assert [shown.status_code, accepted.status_code, page.status_code] == [404] * 3, what
        said |= {shown.content, accepted.content}
        pages.add(page.content)
    assert len(said) == len(pages) == 1
    assert difference(before, await bench.rows.dump()) == []
    secret = bench.purse.secrets["invitation secret"]
    assert (await bench.client.get(f"/vsay/users/invitations/{secret}")).status_code == 200


async def test_nothing_but_a_reset_s_secret_resets(bench: Bench) -> None:
    before = await bench.rows.dump()
    path = "/wiwebb/api/v1/auth/password/reset/confirm/"
    new = {"new_password1": "another-Kettle-43", "new_password2": "another-Kettle-43"}
    uid = bench.purse.reset_uid
    for what, secret in bench.purse.secrets.items():
        if what == "reset secret":
            continue
        answer = await bench.client.post(path, json={"uid": uid, "token": secret, **new})
        assert (answer.status_code, answer.json()) == (400, {"token": ["Invalid value"]}), what
    good = {"token": bench.purse.secrets["reset secret"], **new}
    for other in (bench.purse.world.people["olga"].public_id, str(1), "", uid.lower() + "x"):
        answer = await bench.client.post(path, json={"uid": other, **good})
        assert answer.status_code == 400, other
    assert difference(before, await bench.rows.dump()) == []
    page = f"/wiwebb/reset/{uid}/{bench.purse.secrets['reset secret']}"
    assert (await bench.client.get(page)).status_code == 200


async def test_an_administrator_ends_no_credential_of_another_contract(bench: Bench) -> None:
    """Wekan's deletetoken takes a token in its body; others' are none of its."""
    world = bench.purse.world
    headers = {"Authorization": f"Bearer {world.people['olga'].tokens['wekan']}"}
    mia = world.people["mia"]
    before = await bench.rows.dump()
    for contract, secret in mia.tokens.items():
        if contract != "wekan":
            body = {"userId": mia.public_id, "token": secret}
            await bench.client.post("/wekan/api/deletetoken", json=body, headers=headers)
    changed = {change.table for change in difference(before, await bench.rows.dump())}
    assert changed <= {"audit"}, changed


def test_the_check_tells_a_refusal_from_anything_else() -> None:
    """Another status, other words, another challenge: each would be found out."""
    words = UNKNOWN["wiwebb"]
    right = {"status_code": 401, "json": words.body, "headers": {"WWW-Authenticate": "Token"}}
    assert unlike(httpx.Response(**right), words) == ""
    for wrong in (
        {"status_code": 403},
        {"status_code": 200},
        {"json": {"detail": "Invalid token"}},
        {"headers": {}},
    ):
        assert unlike(httpx.Response(**{**right, **wrong}), words), wrong
    assert unlike(httpx.Response(401, content=b"x"), Words("", None))
