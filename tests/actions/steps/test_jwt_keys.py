"""JWT keys: signing, verification with published keys, and sealed private keys."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet, OKPKey

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.steps import jwt_keys
from dragoman.jobs import background, doctor
from dragoman.rules import crypto
from dragoman.rules.errors import Forbidden, Reason, Unavailable
from dragoman.rules.model import HOUR, MINUTE
from dragoman.settings import Settings
from dragoman.store import schema, signing_keys
from dragoman.store.query import Query
from tests.support.databases import audit_rows, query, settings_for
from tests.support.people import SYSTEM_ACTOR, actor_for, anonymous_actor, transaction

pytestmark = pytest.mark.anyio

CLAIMS = {"sub": "somebody", "groups": "Users", "exp": 4_000_000_000}
OTHER_KEY = bytes(range(32, 64))


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    """A directory that has never signed anything."""
    async with app.open_directory(settings) as directory:
        yield directory


async def sign(directory: Directory) -> str:
    async with transaction(directory, anonymous_actor()) as tx:
        return await jwt_keys.sign(tx, directory, CLAIMS)


async def rotate(directory: Directory) -> str:
    async with transaction(directory) as tx:
        return await jwt_keys.rotate(tx, directory)


async def published_keys(directory: Directory) -> list[dict[str, str]]:
    document = await jwt_keys.jwk_set(directory.read(anonymous_actor()))
    assert document.keys() == {"keys"}
    return document["keys"]


def header_of(token: str) -> dict[str, Any]:
    first = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))


def verify_as_third_party(token: str, keys: list[dict[str, str]]) -> dict[str, Any]:
    """Verify a JWT as a stranger does, who has the published keys and nothing else."""
    registry = jws.JWSRegistry(algorithms=["EdDSA"])
    with pytest.warns(match="EdDSA"):
        return jwt.decode(token, KeySet.import_key_set({"keys": keys}), registry=registry).claims


async def set_retired(directory: Directory, kid: str, at: int) -> None:
    table = schema.signing_keys
    statement = sa.update(table).where(table.c.kid == kid).values(retired_at=at)
    async with transaction(directory) as tx:
        await tx.run(Query(statement))


# --------------------------------------------------------------------------- sign


async def test_a_stranger_verifies_what_was_signed(directory: Directory) -> None:
    assert await published_keys(directory) == []
    token = await sign(directory)
    (key,) = await published_keys(directory)
    assert header_of(token) == {"alg": "EdDSA", "kid": key["kid"], "typ": "JWT"}
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]{86}", token)
    assert verify_as_third_party(token, [key]) == CLAIMS


async def test_what_is_published_is_public(directory: Directory) -> None:
    """RFC 8037: ``d`` is the private half; RFC 7638: the kid is the key's thumbprint."""
    await sign(directory)
    await rotate(directory)
    keys = await published_keys(directory)
    assert len(keys) == 2
    for key in keys:
        assert key.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
        assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
        assert (key["use"], key["alg"]) == ("sig", "EdDSA")
        assert (
            OKPKey.import_key({n: key[n] for n in ("kty", "crv", "x")}).thumbprint() == key["kid"]
        )


async def test_a_private_member_that_came_into_the_table_stays_there(directory: Directory) -> None:
    await sign(directory)
    stray = {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k", "use": "sig", "alg": "EdDSA"}
    text = json.dumps({**stray, "d": "never-to-be-seen"})
    async with transaction(directory) as tx:
        await tx.run(Query(sa.update(schema.signing_keys).values(public=text)))
    assert await published_keys(directory) == [stray]


async def test_one_key_signs_until_it_is_rotated(directory: Directory) -> None:
    tokens = [await sign(directory) for _ in range(3)]
    assert len({header_of(token)["kid"] for token in tokens}) == 1
    assert len(await published_keys(directory)) == 1


async def test_the_first_signatures_at_once_make_one_key(settings: Settings) -> None:
    """Another worker's first one waits until the key is there, and is signed by it."""
    async with app.open_directory(settings) as one, app.open_directory(settings) as other:
        async with transaction(one, anonymous_actor()) as tx:
            first = await jwt_keys.sign(tx, one, CLAIMS)
            waiting = [asyncio.create_task(sign(each)) for each in (one, other, other)]
            done, _ = await asyncio.wait(waiting, timeout=0.3)
            assert not done
        tokens = [first, *await asyncio.gather(*waiting)]
        keys = await published_keys(one)
    assert len(keys) == 1
    assert {header_of(token)["kid"] for token in tokens} == {keys[0]["kid"]}
    for token in tokens:
        assert verify_as_third_party(token, keys) == CLAIMS


async def test_forged_ones_do_not_verify(directory: Directory) -> None:
    """What third parties rely on; here nobody is let in by a signature at all."""
    token = await sign(directory)
    keys = await published_keys(directory)
    head, body, signature = token.split(".")
    changed = json.dumps({**CLAIMS, "groups": "Admins"}).encode()
    forged = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
    with pytest.raises(BadSignatureError):
        verify_as_third_party(f"{head}.{forged}.{signature}", keys)
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    with pytest.raises(JoseError):
        jwt.decode(f"{none}.{body}.", KeySet.import_key_set({"keys": keys}), algorithms=["EdDSA"])


# --------------------------------------------------------------------------- rotate


async def test_rotation_lets_the_earlier_ones_verify(directory: Directory) -> None:
    old = await sign(directory)
    kid = await rotate(directory)
    new = await sign(directory)
    assert header_of(new)["kid"] == kid != header_of(old)["kid"]
    keys = await published_keys(directory)
    assert [key["kid"] for key in keys] == [kid, header_of(old)["kid"]]
    assert verify_as_third_party(old, keys) == verify_as_third_party(new, keys) == CLAIMS
    with pytest.raises(JoseError):
        verify_as_third_party(old, keys[:1])


async def test_rotation_before_anything_was_signed(directory: Directory) -> None:
    kid = await rotate(directory)
    assert header_of(await sign(directory))["kid"] == kid
    assert len(await published_keys(directory)) == 1


async def test_rotations_at_once_leave_one_key_that_signs(directory: Directory) -> None:
    await sign(directory)
    made = await asyncio.gather(*(rotate(directory) for _ in range(4)))
    found = await signing_keys.list_all(directory.read(SYSTEM_ACTOR))
    assert len(found) == 5
    (current,) = [key.kid for key in found if not key.retired_at]
    assert current in made
    assert header_of(await sign(directory))["kid"] == current


async def test_retired_keys_vanish_after_their_time(directory: Directory) -> None:
    """Published for twice the life of a JWT, then forgotten by the upkeep; never the current."""
    assert jwt_keys.MAX_JWT_LIFETIME == HOUR
    old = header_of(await sign(directory))["kid"]
    kid = await rotate(directory)
    now = directory.read(SYSTEM_ACTOR).now
    for age, there in (HOUR, True), (2 * HOUR - MINUTE, True), (2 * HOUR, False):
        await set_retired(directory, old, now - age)
        kids = [key["kid"] for key in await published_keys(directory)]
        assert kids == ([kid, old] if there else [kid]), age
        if there:
            await background.purge(directory)
            assert len(await signing_keys.list_all(directory.read(SYSTEM_ACTOR))) == 2
    assert await background.purge(directory) == 1
    assert [key.kid for key in await signing_keys.list_all(directory.read(SYSTEM_ACTOR))] == [kid]
    assert header_of(await sign(directory))["kid"] == kid


async def test_only_the_command_line_rotates(directory: Directory) -> None:
    """Not even a superadmin does it by a contract."""
    await sign(directory)
    before = await published_keys(directory)
    ((root,),) = await query(directory.settings.database, "SELECT id FROM users")
    for actor in anonymous_actor(), await actor_for(directory, root):
        with pytest.raises(Forbidden) as refused:
            async with transaction(directory, actor) as tx:
                await jwt_keys.rotate(tx, directory)
        assert refused.value.reason is Reason.FUNCTION
    assert await published_keys(directory) == before


async def test_a_rotation_stands_in_the_history(directory: Directory) -> None:
    before = (await audit_rows(directory.settings.database))[-1].id
    await sign(directory)
    await rotate(directory)
    (row,) = await audit_rows(directory.settings.database, before)
    assert (row.action, row.target_kind, row.actor_kind) == ("keys.rotate", "signing_key", "system")


# --------------------------------------------------------------------------- the private half


async def private_key_member(directory: Directory) -> str:
    """The member ``d`` of the key that signs, as only the server's key opens it."""
    ((sealed,),) = await query(directory.settings.database, "SELECT sealed FROM signing_keys")
    opened = crypto.unseal(directory.server_key, "signing", sealed)
    assert opened is not None
    return json.loads(opened)["d"]


async def test_the_private_half_is_nowhere_in_clear(directory: Directory) -> None:
    token = await sign(directory)
    d = await private_key_member(directory)
    raw = base64.urlsafe_b64decode(d + "=")
    for table in schema.metadata.sorted_tables:
        found = await query(directory.settings.database, f"SELECT * FROM {table.name}")
        for row in found:
            for value in row:
                shown = value if isinstance(value, bytes) else str(value).encode()
                for secret in d.encode(), raw, raw.hex().encode(), base64.b64encode(raw):
                    assert secret not in shown, table.name
    assert d not in token
    ((sealed,),) = await query(directory.settings.database, "SELECT sealed FROM signing_keys")
    for key, purpose in (OTHER_KEY, "signing"), (directory.server_key, "mail"):
        assert crypto.unseal(key, purpose, sealed) is None


async def test_another_servers_key_signs_nothing(
    directory: Directory, capfd: pytest.CaptureFixture[str]
) -> None:
    """The operator is told, the caller hears that it cannot be done now, nothing is replaced."""
    await sign(directory)
    d, keys = await private_key_member(directory), await published_keys(directory)
    settings = settings_for(directory.settings.database, secret_key=OTHER_KEY)
    async with app.open_directory(settings) as other:
        with pytest.raises(Unavailable) as raised:
            await sign(other)
        assert str(raised.value) == "signing key"
        assert await published_keys(other) == keys
        findings = {each.check: each for each in await doctor.check_database(other)}
        assert findings["signing key"].state == doctor.FAIL
        assert "keys rotate" in findings["signing key"].advice
        kid = await rotate(other)
        assert header_of(await sign(other))["kid"] == kid
        assert await jwt_keys.can_unseal(other.read(SYSTEM_ACTOR), other) is True
        assert [key["kid"] for key in await published_keys(other)] == [kid, keys[0]["kid"]]
    output = capfd.readouterr()
    assert "signing_key_sealed_otherwise" in output.out + output.err
    for secret in d, directory.server_key.hex(), OTHER_KEY.hex():
        assert secret not in output.out + output.err + repr(raised.value)


async def test_the_checkup_of_a_sound_directory(directory: Directory) -> None:
    for _ in range(2):  # before the first key, and with it
        findings = {each.check: each for each in await doctor.check_database(directory)}
        assert findings["signing key"].state == doctor.OK
        await sign(directory)


def test_an_idle_worker_does_not_load_the_library() -> None:
    code = (
        "import sys; from dragoman import app; from dragoman.actions.steps import jwt_keys;"
        " sys.exit('joserfc' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
