"""JWT keys: signing, verification with published keys, and sealed private keys."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from typing import Any

import msgspec
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


async def rotate(directory: Directory, *, at_once: bool = False) -> str:
    async with transaction(directory) as tx:
        return (await jwt_keys.rotate(tx, directory, at_once=at_once)).kid


async def let_pass(directory: Directory, microseconds: int) -> None:
    """Make all keys older."""
    table = schema.signing_keys
    older = {
        "created_at": table.c.created_at - microseconds,
        "signs_from": table.c.signs_from - microseconds,
        "retired_at": sa.case((table.c.retired_at > 0, table.c.retired_at - microseconds), else_=0),
    }
    async with transaction(directory) as tx:
        await tx.run(Query(sa.update(table).values(**older)))


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


async def test_a_new_key_is_published_first_and_signs_a_max_age_later(
    directory: Directory,
) -> None:
    old = await sign(directory)
    kid = await rotate(directory)
    assert [key["kid"] for key in await published_keys(directory)] == [kid, header_of(old)["kid"]]
    assert header_of(await sign(directory))["kid"] == header_of(old)["kid"]
    await let_pass(directory, jwt_keys.KEY_SET_MAX_AGE - MINUTE)
    assert header_of(await sign(directory))["kid"] == header_of(old)["kid"]
    await let_pass(directory, MINUTE)
    new = await sign(directory)
    assert header_of(new)["kid"] == kid
    keys = await published_keys(directory)
    assert [key["kid"] for key in keys] == [kid, header_of(old)["kid"]]
    assert verify_as_third_party(old, keys) == verify_as_third_party(new, keys) == CLAIMS
    with pytest.raises(JoseError):
        verify_as_third_party(old, keys[:1])
    await let_pass(directory, jwt_keys.RETIRED_KEY_LIFETIME)
    assert [key["kid"] for key in await published_keys(directory)] == [kid]


async def test_after_a_leak_the_new_key_signs_at_once_and_no_other_is_published(
    directory: Directory,
) -> None:
    await sign(directory)
    await rotate(directory)
    kid = await rotate(directory, at_once=True)
    assert [key["kid"] for key in await published_keys(directory)] == [kid]
    assert header_of(await sign(directory))["kid"] == kid


async def test_rotation_before_anything_was_signed(directory: Directory) -> None:
    kid = await rotate(directory)
    assert header_of(await sign(directory))["kid"] == kid
    assert len(await published_keys(directory)) == 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_rotations_at_once_leave_one_key_that_signs(
    directory: Directory, *, at_once: bool
) -> None:
    await sign(directory)
    made = await asyncio.gather(*(rotate(directory, at_once=at_once) for _ in range(4)))
    assert len(await published_keys(directory)) == (1 if at_once else 5)
    await let_pass(directory, jwt_keys.KEY_SET_MAX_AGE)
    kid = header_of(await sign(directory))["kid"]
    assert kid in made
    found = await signing_keys.list_all(directory.read(SYSTEM_ACTOR))
    assert [key.kid for key in found if not key.retired_at] == [kid]


async def test_a_clock_that_was_set_back_stops_nothing(directory: Directory) -> None:
    await rotate(directory)
    await let_pass(directory, -HOUR)
    assert header_of(await sign(directory))["kid"]


ALGORITHMS = {"EdDSA": ("OKP", 86), "ES256": ("EC", 86), "RS256": ("RSA", 342)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_the_setting_chooses_the_algorithm(database: str, algorithm: str) -> None:
    settings = settings_for(database, jwt_algorithm=algorithm)
    async with app.open_directory(settings) as directory:
        token = await sign(directory)
        (key,) = await published_keys(directory)
    kty, length = ALGORITHMS[algorithm]
    assert (key["kty"], key["alg"], key["use"]) == (kty, algorithm, "sig")
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
    assert header_of(token) == {"alg": algorithm, "kid": key["kid"], "typ": "JWT"}
    assert len(token.split(".")[2]) == length
    registry = jws.JWSRegistry(algorithms=[algorithm])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decoded = jwt.decode(token, KeySet.import_key_set({"keys": [key]}), registry=registry)
    assert decoded.claims == CLAIMS


async def test_after_a_change_of_the_algorithm_the_former_kind_signs_for_a_while(
    directory: Directory,
) -> None:
    """Until the new kind has been published for a max-age; both are while their tokens live."""
    old = header_of(await sign(directory))
    directory.settings = msgspec.structs.replace(directory.settings, jwt_algorithm="ES256")
    assert header_of(await sign(directory)) == old
    published = await published_keys(directory)
    assert [key["alg"] for key in published] == ["ES256", "EdDSA"]
    await let_pass(directory, jwt_keys.KEY_SET_MAX_AGE)
    new = header_of(await sign(directory))
    assert (new["alg"], new["kid"]) == ("ES256", published[0]["kid"])
    assert await published_keys(directory) == published
    await let_pass(directory, jwt_keys.KIND_OVERLAP)
    assert header_of(await sign(directory)) == new
    assert await published_keys(directory) == published
    await let_pass(directory, jwt_keys.RETIRED_KEY_LIFETIME)
    assert await published_keys(directory) == published[:1]


async def test_retired_keys_vanish_after_their_time(directory: Directory) -> None:
    """Published for twice the life of a JWT, then forgotten by the upkeep; never the current."""
    assert jwt_keys.MAX_JWT_LIFETIME == HOUR
    old = header_of(await sign(directory))["kid"]
    kid = await rotate(directory)
    await let_pass(directory, jwt_keys.KEY_SET_MAX_AGE)
    assert header_of(await sign(directory))["kid"] == kid
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
        assert findings["server key"].state == doctor.FAIL
        assert "keys adopt" in findings["server key"].advice
        with pytest.raises(Unavailable) as refused:
            await rotate(other)
        assert str(refused.value) == "server key"
        assert await published_keys(other) == keys
    output = capfd.readouterr()
    assert "signing_key_sealed_otherwise" in output.out + output.err
    for secret in d, directory.server_key.hex(), OTHER_KEY.hex():
        assert secret not in output.out + output.err + repr(raised.value)


async def test_the_checkup_of_a_sound_directory(directory: Directory) -> None:
    for _ in range(2):  # before the first key, and with it
        findings = {each.check: each for each in await doctor.check_database(directory)}
        assert findings["server key"].state == findings["signing key"].state == doctor.OK
        await sign(directory)


def test_an_idle_worker_does_not_load_the_library() -> None:
    code = (
        "import sys; from dragoman import app; from dragoman.actions.steps import jwt_keys;"
        " sys.exit('joserfc' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
