"""JWTs that nobody issued open nothing, by whatever key; nor do those that a document prints."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from dragoman import dialects
from dragoman.rules import crypto
from tests.attack.attacked_app import AttackedApp
from tests.attack.credentials import (
    MISSING_CREDENTIAL,
    SCHEMES,
    UNKNOWN_CREDENTIAL,
    Operation,
    refusal_difference,
)
from tests.attack.forged_jwts import IssuedJwt, b64, encode_part, forgeries, sign_with_secret, unb64
from tests.support.databases import query
from tests.support.rows import difference

pytestmark = pytest.mark.anyio

MAX_TOKEN_LENGTH = 4000
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


async def issued_jwt(attacked_app: AttackedApp, name: str) -> IssuedJwt:
    """Return somebody's JWT, and the key that signed it, as a thief of the server's key has it."""
    (jwk,) = (await attacked_app.client.get("/.well-known/jwks.json")).json()["keys"]
    ((sealed,),) = await query(attacked_app.settings.database, "SELECT sealed FROM signing_keys")
    opened = crypto.unseal(attacked_app.settings.secret_key, "signing", sealed)
    assert opened is not None
    return IssuedJwt(
        token=attacked_app.world.people[name].tokens["binacle"],
        jwk=jwk,
        private_jwk=json.loads(opened),
        server_key=attacked_app.settings.secret_key,
    )


def dangerous_requests(attacked_app: AttackedApp) -> dict[str, Any]:
    """Return what would make an admin of somebody, or end somebody."""
    otto = f"/binacle/api/users/{attacked_app.world.people['otto'].email}"
    return {
        "PUT": (otto, {"type": "User", "status": "Inactive"}),
        "DELETE": (otto, None),
        "POST": ("/binacle/api/users", {"email": "eve@evil.test", "password": "violet-Kettle-42"}),
    }


async def test_every_forgery_is_refused(attacked_app: AttackedApp) -> None:
    """In the contract's words, at a method that an owner's would change something by."""
    genuine = await issued_jwt(attacked_app, "olga")
    before = await attacked_app.rows.dump()
    forged = forgeries(genuine)
    assert genuine.token not in forged.values()
    assert len(forged) > 150
    asked = list(dangerous_requests(attacked_app).items())
    wrong: dict[str, str] = {}
    for turn, (what, token) in enumerate(forged.items()):
        method, (path, body) = asked[turn % len(asked)]
        assert len(token) < MAX_TOKEN_LENGTH, what
        answer = await attacked_app.client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        )
        if mismatch := refusal_difference(answer, UNKNOWN_CREDENTIAL["binacle"]):
            wrong[what] = mismatch
    assert wrong == {}
    assert difference(before, await attacked_app.rows.dump()) == []


async def test_the_genuine_one_is_taken_and_its_signature_is_real(
    attacked_app: AttackedApp,
) -> None:
    """Else the refusals above would show nothing: signing its claims anew gives the same bytes."""
    genuine = await issued_jwt(attacked_app, "mia")
    assert genuine.signed(genuine.token.split(".")[1]) == genuine.token
    method, path = "PUT", dangerous_requests(attacked_app)["PUT"][0]
    answer = await attacked_app.client.request(
        method, path, json={}, headers={"Authorization": f"Bearer {genuine.token}"}
    )
    assert answer.status_code == 403, "a member's, and known"


async def test_one_that_was_good_once_is_refused(attacked_app: AttackedApp) -> None:
    """Aged, revoked, and cut off: what it says of itself does not matter any more."""
    gus = attacked_app.world.people["gus"]
    headers = {"Authorization": f"Bearer {gus.tokens['binacle']}"}
    at = Operation("binacle", "POST", "/binacle/api/users")
    assert (await attacked_app.request(at, headers)).status_code == 403
    where = f"user_id = {gus.id:d} AND contract = 'binacle'"
    for moved in ("expires_at = 1", "idle_until = 1", "user_epoch = user_epoch - 1"):
        before = await attacked_app.rows.dump()
        await attacked_app.rows.execute([(f"UPDATE tokens SET {moved} WHERE {where}", [])])
        assert (
            refusal_difference(
                await attacked_app.request(at, headers), UNKNOWN_CREDENTIAL["binacle"]
            )
            == ""
        ), moved
        await attacked_app.rows.restore(difference(before, await attacked_app.rows.dump()))
        assert (await attacked_app.request(at, headers)).status_code == 403
    await attacked_app.rows.execute([(f"DELETE FROM tokens WHERE {where}", [])])
    assert (
        refusal_difference(await attacked_app.request(at, headers), UNKNOWN_CREDENTIAL["binacle"])
        == ""
    )


async def test_what_the_documents_print_opens_nothing(attacked_app: AttackedApp) -> None:
    """Whoever copies an example from a contract's page is nobody."""
    header = {"alg": "HS256", "typ": "JWT"}
    example = sign_with_secret(header, encode_part(PRINTED_CLAIMS), b"your-256-bit-secret")
    assert example.endswith(PRINTED_END), "this is the one that is printed"
    before = await attacked_app.rows.dump()
    for contract in dialects.NAMES:
        for secret in (example, *PRINTED.values()):
            headers = {"Authorization": f"{SCHEMES[contract]} {secret}"}
            assert (
                refusal_difference(
                    await attacked_app.request(attacked_app.probe_of(contract), headers),
                    UNKNOWN_CREDENTIAL[contract],
                )
                == ""
            )
    assert difference(before, await attacked_app.rows.dump()) == []


async def test_a_forgery_chooses_no_contract_at_the_root(attacked_app: AttackedApp) -> None:
    """A shared path is answered by the first in the order, as without any credential."""
    genuine = await issued_jwt(attacked_app, "olga")
    forged = list(forgeries(genuine).values())[::9]
    for token in forged:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await attacked_app.client.get("/api/users", headers=headers)
        assert refusal_difference(answer, MISSING_CREDENTIAL["accounts"]) == ""


async def test_what_is_published_signs_nothing(attacked_app: AttackedApp) -> None:
    """Public halves alone: of each key what verifies, and nothing that could seal."""
    keys = (await attacked_app.client.get("/.well-known/jwks.json")).json()["keys"]
    assert keys
    for key in keys:
        assert "d" not in key
        assert len(unb64(key["x"])) == 32


def test_the_forger_s_tools_make_what_they_say() -> None:
    """RFC 7515, A.1.1 in small: the signature is over header and claims, by this secret."""
    token = sign_with_secret({"alg": "HS256"}, encode_part({"a": 1}), b"key")
    text, _, signature = token.rpartition(".")
    assert signature == b64(hmac.new(b"key", text.encode(), "sha256").digest())
    assert json.loads(unb64(text.split(".")[1])) == {"a": 1}
