"""Every kind of secret where it must not work: 401 in the contract's words, and nothing changed."""

from __future__ import annotations

import base64
import os
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dragoman import dialects
from tests.attack.attacked_app import AppWithCredentials
from tests.attack.credentials import (
    MISSING_CREDENTIAL,
    SCHEMES,
    UNKNOWN_CREDENTIAL,
    Refusal,
    expected_refusal,
    operations,
    refusal_difference,
)
from tests.support.rows import difference

pytestmark = pytest.mark.anyio

every_contract = pytest.mark.parametrize("contract", dialects.NAMES)
SHARE = int(os.environ.get("FAULT_SHARE", "5"))
"""One of so many; 1 for all of them."""
QUERIES = (
    "token", "access_token", "api_key", "auth_token", "apikey", "key", "jwt", "authToken", "auth",
    "bearer", "Authorization", "authorization", "X-Auth-Token", "session", "sid", "id_token",
)  # fmt: skip


async def test_each_secret_opens_nothing_anywhere_else(
    app_with_credentials: AppWithCredentials,
) -> None:
    """Each live kind at each operation that takes a credential but its own contract's.

    Of what is dead or guessed, each at a share of them, another one each time.
    """
    before = await app_with_credentials.rows.dump()
    wrong: list[str] = []
    asked = 0
    for contract in dialects.NAMES:
        places = operations(contract, app_with_credentials.credentials.world)
        for turn, (what, secret) in enumerate(
            app_with_credentials.credentials.foreign(contract).items()
        ):
            headers = {"Authorization": f"{SCHEMES[contract]} {secret}"}
            step = 1 if what in app_with_credentials.credentials.live_names else SHARE
            for operation in places[turn % step :: step]:
                refusal_problem = refusal_difference(
                    await app_with_credentials.request(operation, headers),
                    expected_refusal(operation),
                )
                wrong += [f"{what}: {operation}: {refusal_problem}"] if refusal_problem else []
                asked += 1
    assert wrong == []
    assert asked > 600, "nothing was tried"
    assert difference(before, await app_with_credentials.rows.dump()) == []


@every_contract
async def test_the_right_one_opens_every_one_of_those_places(
    app_with_credentials: AppWithCredentials, contract: str
) -> None:
    """Else the refusals above would show nothing."""
    world = app_with_credentials.credentials.world
    own = world.people["mia"].tokens[contract]
    headers = {"Authorization": f"{SCHEMES[contract]} {own}"}
    for operation in operations(contract, world):
        if "logout" not in operation.path and operation.method != "DELETE":
            answer = await app_with_credentials.client.request(
                operation.method, operation.path, headers=headers, json={}
            )
            assert answer.status_code not in {401, 500}, operation
            if "password" in operation.path and answer.is_success:
                raise AssertionError(operation)
    assert (
        await app_with_credentials.request(app_with_credentials.probe_of(contract), headers)
    ).status_code in {200, 403}


def invalid_presentations(scheme: str, secret: str) -> dict[str, tuple[Any, bool]]:
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


@every_contract
async def test_a_live_credential_presented_in_another_way_is_none(
    app_with_credentials: AppWithCredentials, contract: str
) -> None:
    secret = app_with_credentials.credentials.secrets[f"{contract} credential"]
    before = await app_with_credentials.rows.dump()
    wrong: dict[str, str] = {}
    for way, (headers, absent) in invalid_presentations(SCHEMES[contract], secret).items():
        answer = await app_with_credentials.request(
            app_with_credentials.probe_of(contract), headers
        )
        assert secret not in answer.text, way
        if absent:
            refusal_problem = refusal_difference(answer, MISSING_CREDENTIAL[contract])
        else:  # what is malformed is told in several ways, each of them a 401
            refusal_problem = "" if answer.status_code == 401 else str(answer.status_code)
        if refusal_problem:
            wrong[way] = refusal_problem
    assert wrong == {}
    assert difference(before, await app_with_credentials.rows.dump()) == []


@every_contract
async def test_a_credential_in_the_query_or_in_the_body_is_none(
    app_with_credentials: AppWithCredentials, contract: str
) -> None:
    secret = app_with_credentials.credentials.secrets[f"{contract} credential"]
    scheme = SCHEMES[contract]
    before = await app_with_credentials.rows.dump()
    for key in QUERIES:
        for value in (secret, f"{scheme} {secret}"):
            answer = await app_with_credentials.request(
                app_with_credentials.probe_of(contract), {}, {key: value}
            )
            assert refusal_difference(answer, MISSING_CREDENTIAL[contract]) == "", key
            assert secret not in answer.text
        at = app_with_credentials.probe_of(contract)
        answer = await app_with_credentials.client.request(at.method, at.path, data={key: secret})
        assert refusal_difference(answer, MISSING_CREDENTIAL[contract]) == "", f"{key} in a form"
        answer = await app_with_credentials.client.request(at.method, at.path, json={key: secret})
        assert refusal_difference(answer, MISSING_CREDENTIAL[contract]) == "", f"{key} in JSON"
    assert difference(before, await app_with_credentials.rows.dump()) == []


async def test_nothing_but_a_refresh_token_refreshes(
    app_with_credentials: AppWithCredentials,
) -> None:
    """And what was presented in its place is as good as before: no family dies of it."""
    before = await app_with_credentials.rows.dump()
    for what, secret in app_with_credentials.credentials.secrets.items():
        if what in {"refresh token", "dead spent refresh token"}:
            continue
        answer = await app_with_credentials.client.post(
            "/vsay/auth/refresh", json={"refresh_token": secret}
        )
        assert refusal_difference(answer, UNKNOWN_CREDENTIAL["vsay"]) == "", what
    assert difference(before, await app_with_credentials.rows.dump()) == []
    ada = app_with_credentials.credentials.world.people["ada"]
    mail = {"email": ada.email, "password": ada.password}
    pair = (await app_with_credentials.client.post("/vsay/auth/login", json=mail)).json()["data"]
    given = {"refresh_token": pair["refresh_token"]}
    assert (
        await app_with_credentials.client.post("/vsay/auth/refresh", json=given)
    ).status_code == 200


async def test_nothing_but_an_invitation_s_secret_opens_it(
    app_with_credentials: AppWithCredentials,
) -> None:
    """Looked at or accepted, by the contract's paths or its page."""
    before = await app_with_credentials.rows.dump()
    said: set[bytes] = set()
    pages: set[bytes] = set()
    for what, secret in app_with_credentials.credentials.secrets.items():
        if what == "invitation secret" or "/" in secret:
            continue
        quoted = quote(secret, safe="")
        path = f"/vsay/users/invitations/{quoted}"
        shown = await app_with_credentials.client.get(path)
        accepted = await app_with_credentials.client.post(
            f"{path}/accept", json={"password": "violet-Kettle-42"}
        )
        page = await app_with_credentials.client.post(
            f"/vsay/accept/{quoted}", data={"password": "violet-Kettle-42"}
        )
        assert [shown.status_code, accepted.status_code, page.status_code] == [404] * 3, what
        said |= {shown.content, accepted.content}
        pages.add(page.content)
    assert len(said) == len(pages) == 1
    assert difference(before, await app_with_credentials.rows.dump()) == []
    secret = app_with_credentials.credentials.secrets["invitation secret"]
    assert (
        await app_with_credentials.client.get(f"/vsay/users/invitations/{secret}")
    ).status_code == 200


async def test_nothing_but_a_reset_s_secret_resets(
    app_with_credentials: AppWithCredentials,
) -> None:
    before = await app_with_credentials.rows.dump()
    path = "/wiwebb/api/v1/auth/password/reset/confirm/"
    new = {"new_password1": "another-Kettle-43", "new_password2": "another-Kettle-43"}
    uid = app_with_credentials.credentials.reset_uid
    for what, secret in app_with_credentials.credentials.secrets.items():
        if what == "reset secret":
            continue
        answer = await app_with_credentials.client.post(
            path, json={"uid": uid, "token": secret, **new}
        )
        assert (answer.status_code, answer.json()) == (400, {"token": ["Invalid value"]}), what
    good = {"token": app_with_credentials.credentials.secrets["reset secret"], **new}
    for other in (
        app_with_credentials.credentials.world.people["olga"].public_id,
        str(1),
        "",
        uid.lower() + "x",
    ):
        answer = await app_with_credentials.client.post(path, json={"uid": other, **good})
        assert answer.status_code == 400, other
    assert difference(before, await app_with_credentials.rows.dump()) == []
    page = f"/wiwebb/reset/{uid}/{app_with_credentials.credentials.secrets['reset secret']}"
    assert (await app_with_credentials.client.get(page)).status_code == 200


async def test_an_administrator_ends_no_credential_of_another_contract(
    app_with_credentials: AppWithCredentials,
) -> None:
    """Wekan's deletetoken takes a token in its body; others' are none of its."""
    world = app_with_credentials.credentials.world
    headers = {"Authorization": f"Bearer {world.people['olga'].tokens['wekan']}"}
    mia = world.people["mia"]
    before = await app_with_credentials.rows.dump()
    for contract, secret in mia.tokens.items():
        if contract != "wekan":
            body = {"userId": mia.public_id, "token": secret}
            await app_with_credentials.client.post(
                "/wekan/api/deletetoken", json=body, headers=headers
            )
    changed = {
        change.table for change in difference(before, await app_with_credentials.rows.dump())
    }
    assert changed <= {"audit"}, changed


def test_the_check_tells_a_refusal_from_anything_else() -> None:
    """Another status, other words, another challenge: each would be found out."""
    words = UNKNOWN_CREDENTIAL["wiwebb"]
    right = {"status_code": 401, "json": words.body, "headers": {"WWW-Authenticate": "Token"}}
    assert refusal_difference(httpx.Response(**right), words) == ""
    for wrong in (
        {"status_code": 403},
        {"status_code": 200},
        {"json": {"detail": "Invalid token"}},
        {"headers": {}},
    ):
        assert refusal_difference(httpx.Response(**{**right, **wrong}), words), wrong
    assert refusal_difference(httpx.Response(401, content=b"x"), Refusal("", None))
