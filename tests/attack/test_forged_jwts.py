"""JWTs that nobody issued open nothing, by whatever key; nor do those that a document prints."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from dragoman import dialects
from dragoman.rules import crypto
from tests.attack.bench import Stage
from tests.attack.forgery import Genuine, b64, by_secret, forged, unb64, written
from tests.attack.purse import MISSING, SCHEMES, UNKNOWN, Operation, unlike
from tests.authorization.rows import difference
from tests.support.databases import query

pytestmark = pytest.mark.anyio

LONGEST = 4000
"""What is longer is refused without a look (``web/credentials.py``)."""
PRINTED_CLAIMS = {"sub": "1234567890", "name": "John Doe", "iat": 1516239022}
PRINTED_END = "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
"""How the JWT ends that the document of this contract shows: the example of the whole world."""
PRINTED = {
    "accounts": "b51297429d9d107a57488c1fa91d6c306e898729",
    "wekan": "a6DM_gOPRwBdynfXaGBaiiEwTiAuigR_Fj_81QmNpnf",
    "wekan, after registering": "ExMp2s9ML1JNp_l11sIfINPT3wykZ1SsVwg-cnxKdc8",
    "vsay": "YOUR_API_TOKEN",
    "wiwebb": "{your-token}",
}


async def genuine_of(stage: Stage, name: str) -> Genuine:
    """Return somebody's JWT, and the key that signed it, as a thief of the server's key has it."""
    (jwk,) = (await stage.client.get("/.well-known/jwks.json")).json()["keys"]
    ((sealed,),) = await query(stage.settings.database, "SELECT sealed FROM signing_keys")
    opened = crypto.unseal(stage.settings.secret_key, "signing", sealed)
    assert opened is not None
    return Genuine(
        token=stage.world.people[name].tokens["binacle"],
        jwk=jwk,
        private=json.loads(opened),
        server_key=stage.settings.secret_key,
    )


def told(stage: Stage) -> dict[str, Any]:
    """Return what would make an admin of somebody, or end somebody."""
    otto = f"/binacle/api/users/{stage.world.people['otto'].email}"
    return {
        "PUT": (otto, {"type": "User", "status": "Inactive"}),
        "DELETE": (otto, None),
        "POST": ("/binacle/api/users", {"email": "eve@evil.test", "password": "violet-Kettle-42"}),
    }


async def test_every_forgery_is_refused(stage: Stage) -> None:
    """In the contract's words, at a method that an owner's would change something by."""
    genuine = await genuine_of(stage, "olga")
    before = await stage.rows.dump()
    forgeries = forged(genuine)
    assert genuine.token not in forgeries.values()
    assert len(forgeries) > 150
    asked = list(told(stage).items())
    wrong: dict[str, str] = {}
    for turn, (what, token) in enumerate(forgeries.items()):
        method, (path, body) = asked[turn % len(asked)]
        assert len(token) < LONGEST, what
        answer = await stage.client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        )
        if fault := unlike(answer, UNKNOWN["binacle"]):
            wrong[what] = fault
    assert wrong == {}
    assert difference(before, await stage.rows.dump()) == []


async def test_the_genuine_one_is_taken_and_its_signature_is_real(stage: Stage) -> None:
    """Else the refusals above would show nothing: signing its claims anew gives the same bytes."""
    genuine = await genuine_of(stage, "mia")
    assert genuine.signed(genuine.token.split(".")[1]) == genuine.token
    method, path = "PUT", told(stage)["PUT"][0]
    answer = await stage.client.request(
        method, path, json={}, headers={"Authorization": f"Bearer {genuine.token}"}
    )
    assert answer.status_code == 403, "a member's, and known"


async def test_one_that_was_good_once_is_refused(stage: Stage) -> None:
    """Aged, revoked, and cut off: what it says of itself does not matter any more."""
    gus = stage.world.people["gus"]
    headers = {"Authorization": f"Bearer {gus.tokens['binacle']}"}
    at = Operation("binacle", "POST", "/binacle/api/users")
    assert (await stage.ask(at, headers)).status_code == 403
    where = f"user_id = {gus.id:d} AND contract = 'binacle'"
    for moved in ("expires_at = 1", "idle_until = 1", "user_epoch = user_epoch - 1"):
        before = await stage.rows.dump()
        await stage.rows.execute([(f"UPDATE tokens SET {moved} WHERE {where}", [])])
        assert unlike(await stage.ask(at, headers), UNKNOWN["binacle"]) == "", moved
        await stage.rows.put_back(difference(before, await stage.rows.dump()))
        assert (await stage.ask(at, headers)).status_code == 403
    await stage.rows.execute([(f"DELETE FROM tokens WHERE {where}", [])])
    assert unlike(await stage.ask(at, headers), UNKNOWN["binacle"]) == ""


async def test_what_the_documents_print_opens_nothing(stage: Stage) -> None:
    """Whoever copies an example from a contract's page is nobody."""
    header = {"alg": "HS256", "typ": "JWT"}
    example = by_secret(header, written(PRINTED_CLAIMS), b"your-256-bit-secret")
    assert example.endswith(PRINTED_END), "this is the one that is printed"
    before = await stage.rows.dump()
    for contract in dialects.NAMES:
        for secret in (example, *PRINTED.values()):
            headers = {"Authorization": f"{SCHEMES[contract]} {secret}"}
            assert unlike(await stage.ask(stage.at(contract), headers), UNKNOWN[contract]) == ""
    assert difference(before, await stage.rows.dump()) == []


async def test_a_forgery_chooses_no_contract_at_the_root(stage: Stage) -> None:
    """A shared path is answered by the first in the order, as without any credential."""
    genuine = await genuine_of(stage, "olga")
    forgeries = list(forged(genuine).values())[::9]
    for token in forgeries:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await stage.client.get("/api/users", headers=headers)
        assert unlike(answer, MISSING["accounts"]) == ""


async def test_what_is_published_signs_nothing(stage: Stage) -> None:
    """Public halves alone: of each key what verifies, and nothing that could seal."""
    keys = (await stage.client.get("/.well-known/jwks.json")).json()["keys"]
    assert keys
    for key in keys:
        assert "d" not in key
        assert len(unb64(key["x"])) == 32


def test_the_forger_s_tools_make_what_they_say() -> None:
    """RFC 7515, A.1.1 in small: the signature is over header and claims, by this secret."""
    token = by_secret({"alg": "HS256"}, written({"a": 1}), b"key")
    text, _, signature = token.rpartition(".")
    assert signature == b64(hmac.new(b"key", text.encode(), "sha256").digest())
    assert json.loads(unb64(text.split(".")[1])) == {"a": 1}
