"""Every kind of secret that there is, live and dead, and every place that takes a credential."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import msgspec

from dragoman import app, dialects
from dragoman.actions.steps import mailed_links, open_invitations
from dragoman.actions.system import system_actor
from dragoman.settings import Settings
from dragoman.store import invitations, one_time_secrets
from tests.support.databases import query
from tests.support.openapi import METHODS, document
from tests.support.rows import Rows
from tests.support.world import World

GUEST = "nora@acme.test"
"""Who has an invitation."""


class Operation(msgspec.Struct, frozen=True):
    """Something that takes a credential, by its contract's document; the path has its prefix."""

    contract: str
    method: str
    path: str


def operations(contract: str, world: World) -> list[Operation]:
    """Return everything at a contract that takes a credential, about people who exist."""
    openapi = document(contract)
    otto, mia = world.people["otto"], world.people["mia"]
    numbers = contract in {"wiwebb", "accounts"}
    names = {
        "id": str(mia.id) if numbers else f"{'usr_' * (contract == 'vsay')}{mia.public_id}",
        "email": otto.email,
        "invitation": "inv_" + "a" * 17,
    }
    return [
        Operation(contract, method.upper(), f"/{contract}{path.format_map(names)}")
        for path, item in openapi["paths"].items()
        for method in METHODS & item.keys()
        if item[method].get("security", openapi["security"])
    ]


SCHEMES = {name: dialects.load(name).CONTRACT.scheme for name in dialects.NAMES}


class Credentials(msgspec.Struct, frozen=True):
    """Secrets by what they are; ``home`` says at which contract a credential opens something.

    ``live`` are those that open something somewhere.
    """

    secrets: dict[str, str]
    live_names: set[str]
    contract_of: dict[str, str]
    reset_uid: str
    world: World

    def foreign(self, contract: str) -> dict[str, str]:
        """Return everything that opens nothing at a contract."""
        return {
            what: s for what, s in self.secrets.items() if self.contract_of.get(what) != contract
        }


async def collect_credentials(
    client: httpx.AsyncClient, rows: Rows, settings: Settings, world: World
) -> Credentials:
    """Get one of each kind, for an owner; and some that were good once."""
    olga, mia = world.people["olga"], world.people["mia"]
    live = {f"{name} credential": secret for name, secret in olga.tokens.items()}
    home = {f"{name} credential": name for name in olga.tokens}
    mail = {"email": olga.email, "password": olga.password}
    pair = await _response_data(client.post("/vsay/auth/login", json=mail))
    spent = await _response_data(client.post("/vsay/auth/login", json=mail))
    renewed = {"refresh_token": spent["refresh_token"]}
    assert (await _response_data(client.post("/vsay/auth/refresh", json=renewed)))["token"]
    by_olga = {"Authorization": f"Bearer {olga.tokens['vsay']}"}
    invitation_body = {"email": GUEST, "name": "Nora", "role": "admin"}
    await _response_data(client.post("/vsay/users/invite", json=invitation_body, headers=by_olga))
    asked = {"email": mia.email}
    assert (await client.post("/wiwebb/api/v1/auth/password/reset/", json=asked)).is_success
    dead = {f"dead {name}": secret for name, secret in (await _dead(client, rows, world)).items()}
    token, jwt = olga.tokens["wiwebb"], olga.tokens["binacle"]
    digest = hashlib.sha256(token.encode())
    claims = msgspec.json.decode(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))
    async with app.open_directory(settings) as directory:
        read = directory.read(system_actor("tests"))
        where = f"email_key = '{GUEST}'"
        ((public_id,),) = await query(
            settings.database, f"SELECT public_id FROM invitations WHERE {where}"
        )
        invited = await invitations.find(read, public_id)
        row = await one_time_secrets.find(read, mia.id, mailed_links.RESET)
        assert invited is not None
        assert row is not None
        mailed = {
            "invitation secret": open_invitations.link_secret(directory, invited),
            "reset secret": mailed_links.derive_secret(directory, row),
        }
    guessed = {
        "password": olga.password,
        "public id": olga.public_id,
        "user id": str(olga.id),
        "username": olga.username,
        "digest in hex": digest.hexdigest(),
        "digest in base64": base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode(),
        "jti": claims["jti"],
        "server key": settings.secret_key.hex(),
        "invitation id": f"inv_{public_id}",
        "half a token": token[:20],
        "two tokens in one": token + token,
        "token in upper case": token.upper() if token.upper() != token else token + "A",
        "uid and reset secret": f"{mia.public_id}/{mailed['reset secret']}",
        "zeros": "0" * 40,
        "undefined": "undefined",
        "null": "null",
        "wildcard": "%",
        "quotes": "'OR'1'='1",
    }
    refresh = {"refresh token": pair["refresh_token"]}
    found = {**live, **refresh, **mailed, **dead, **guessed}
    return Credentials(found, {*live, *refresh, *mailed}, home, mia.public_id, world)


async def _dead(client: httpx.AsyncClient, rows: Rows, world: World) -> dict[str, str]:
    """Return credentials that were good: signed out, spent, out of date, of somebody cut off."""
    vic = world.people["vic"]
    mail = {"email": vic.email, "password": vic.password}
    name = {"username": vic.username, "password": vic.password}
    out = (await client.post("/wiwebb/api/v1/auth/login/", json=name)).json()["key"]
    by = {"Authorization": f"Token {out}"}
    assert (await client.post("/wiwebb/api/v1/auth/logout/", headers=by)).is_success
    left = (await client.post("/wekan/users/login", json=name)).json()["token"]
    by = {"Authorization": f"Bearer {left}"}
    assert (await client.post("/wekan/users/logout", headers=by)).is_success
    spent = (await _response_data(client.post("/vsay/auth/login", json=mail)))["refresh_token"]
    await _response_data(client.post("/vsay/auth/refresh", json={"refresh_token": spent}))
    aged = {
        "wiwebb": (await client.post("/wiwebb/api/v1/auth/login/", json=name)).json()["key"],
        "accounts": (await client.post("/accounts/api/users/signin", json=name)).json()["token"],
        "binacle": (await client.post("/binacle/api/auth/token", json=mail)).json()["accessToken"],
        "wekan": (await client.post("/wekan/users/login", json=name)).json()["token"],
        "vsay": (await _response_data(client.post("/vsay/auth/login", json=mail)))["token"],
    }
    await rows.execute([(f"UPDATE tokens SET expires_at = 1 WHERE user_id = {vic.id:d}", [])])
    gus = world.people["gus"]
    cut = dict(gus.tokens)
    gone = f"/wiwebb/api/v1/users/{gus.id}/"
    by = {"Authorization": f"Token {world.people['root'].token}"}
    assert (await client.delete(gone, headers=by)).status_code == 204
    return {
        "signed out at wiwebb": out,
        "signed out at wekan": left,
        "spent refresh token": spent,
        **{f"aged at {contract}": secret for contract, secret in aged.items()},
        **{f"deleted user's at {contract}": secret for contract, secret in cut.items()},
    }


async def _response_data(asked: Any) -> Any:
    answer: httpx.Response = await asked
    assert answer.is_success, answer.text
    return answer.json()["data"]


class Refusal(msgspec.Struct, frozen=True):
    """A 401 as a contract says it."""

    challenge: str
    body: Any


UNKNOWN_CREDENTIAL: dict[str, Refusal] = {
    "wiwebb": Refusal("Token", {"detail": "Invalid token."}),
    "accounts": Refusal("Token", {"detail": "Invalid token."}),
    "binacle": Refusal('Bearer error="invalid_token"', None),
    "wekan": Refusal(
        "Bearer",
        {
            "isClientSafe": True,
            "error": "Unauthorized",
            "reason": "Unauthorized",
            "message": "Unauthorized [Unauthorized]",
            "errorType": "Meteor.Error",
            "statusCode": 401,
        },
    ),
    "vsay": Refusal(
        "Bearer",
        {
            "success": False,
            "error": {"code": "UNAUTHORIZED", "message": "Invalid or expired token"},
        },
    ),
}
"""What is said to a credential that opens nothing."""
WEKAN_SHORT_REFUSAL = Refusal("Bearer", {"error": "Unauthorized", "reason": "Unauthorized"})
"""How Wekan's own sign-in routes say it, which are not below ``/api``."""
_NOT_GIVEN = {"detail": "Authentication credentials were not provided."}
MISSING_CREDENTIAL: dict[str, Refusal] = {
    **UNKNOWN_CREDENTIAL,
    "wiwebb": Refusal("Token", _NOT_GIVEN),
    "accounts": Refusal("Token", _NOT_GIVEN),
    "binacle": Refusal("Bearer", None),
}
"""What is said where there is none."""


def expected_refusal(operation: Operation) -> Refusal:
    """Return what an operation says to a credential that opens nothing."""
    return (
        WEKAN_SHORT_REFUSAL
        if operation.path.startswith("/wekan/users/")
        else UNKNOWN_CREDENTIAL[operation.contract]
    )


def refusal_difference(answer: httpx.Response, refusal: Refusal) -> str:
    """Return how an answer is not this refusal; empty where it is."""
    body = answer.json() if answer.content and refusal.body is not None else answer.content or None
    if answer.status_code != 401 or body != refusal.body:
        return f"{answer.status_code} {answer.text[:200]}"
    challenge = answer.headers.get("WWW-Authenticate")
    if challenge != refusal.challenge:
        return f"challenge {challenge!r}"
    return ""
