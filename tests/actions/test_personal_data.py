"""Everything that is held about a person, and nothing of others but ids and roles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.actions import (
    access,
    groups,
    permissions,
    personal_data,
    sign_in,
    users,
)
from dragoman.actions.directory import Directory
from dragoman.rules.actor import Actor
from dragoman.rules.errors import BadCredentials, Forbidden, NotFound
from dragoman.rules.model import Access, Role
from dragoman.store import personal_data as store
from tests.support.databases import query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio


async def exported(directory: Directory, user_id: int, actor: Actor = SYSTEM_ACTOR) -> Any:
    pieces = [piece async for piece in personal_data.export(directory, actor, user_id)]
    return json.loads(b"".join(pieces))


async def test_what_is_held_is_exported(directory: Directory, database: str) -> None:
    home = await make_tenant(directory, "home")
    olga = await make_user(directory, "olga-owner", Role.OWNER, home, email="olga@example.com")
    mia = await make_user(
        directory, "mia", tenant_id=home, email="mia@example.com", first_name="Mia", phone="+49 1"
    )
    by_olga = await actor_for(directory, olga.id)
    async with transaction(directory, by_olga) as tx:
        group = await groups.create(tx, home, "editors")
        await groups.add_member(tx, group.group.id, mia.id)
        await permissions.grant(tx, mia.id, [1])
        await access.replace(tx, mia.id, [Access("press-1", "operate")], full_level="operate")
    await sign_in.sign_in(directory, anonymous_actor(), "mia", PASSWORD, CREDENTIAL_FORMAT)
    with pytest.raises(BadCredentials):
        await sign_in.sign_in(directory, anonymous_actor(), "mia", "wrong", CREDENTIAL_FORMAT)
    found = await exported(directory, mia.id)
    assert found["_meta"]["version"] == 1
    profile = found["profile"]
    assert (profile["username"], profile["first_name"], profile["phone"]) == ("mia", "Mia", "+49 1")
    assert (profile["tenant_slug"], profile["role"], profile["active"]) == ("home", "member", True)
    assert profile["created_at"].endswith("Z")
    assert profile["deleted_at"] is None
    assert found["password"]["exists"] is True
    assert found["password"]["scheme"] == "argon2id"
    names = {row["canonical_form"] for row in found["sign_in_names"]}
    assert names == {"mia", "mia@example.com"}
    assert [row["name"] for row in found["groups"]] == ["editors"]
    owner = {"id": olga.id, "role": "owner"}
    (granted,) = found["permissions"]
    assert (granted["codename"], granted["granted_by"]) == ("users.view", owner)
    (given,) = found["access"]
    assert (given["resource"], given["level"], given["granted_by"]) == ("press-1", "operate", owner)
    (session,) = found["sessions"]
    assert (session["contract"], session["kind"]) == ("tests", "session")
    assert [row["count"] for row in found["failed_sign_ins"]] == [1, 1]
    assert len(found["sign_in_addresses"]) == 1
    actions = [row["action"] for row in found["history"]]
    assert {"users.create", "permissions.assign", "sessions.sign_in"} <= set(actions)
    assert actions[-1] == "users.export_data"
    assert {"id": olga.id, "role": "owner"} in [row["actor"] for row in found["history"]]


async def test_neither_secrets_nor_others_names(directory: Directory, database: str) -> None:
    home = await make_tenant(directory, "home")
    olga = await make_user(directory, "olga-owner", Role.OWNER, home, email="olga@example.com")
    mia = await make_user(directory, "mia", tenant_id=home, email="mia@example.com")
    by_olga = await actor_for(directory, olga.id)
    async with transaction(directory, by_olga) as tx:
        await permissions.grant(tx, mia.id, [1])
    await actor_for(directory, mia.id)
    text = json.dumps([await exported(directory, mia.id), await exported(directory, olga.id)])
    for (encoded,) in await query(database, "SELECT password_hash FROM users"):
        assert encoded
        assert encoded not in text
    assert "olga" not in json.dumps(await exported(directory, mia.id))
    assert "mia" not in json.dumps(await exported(directory, olga.id))


async def test_who_may(directory: Directory) -> None:
    home, other = await make_tenant(directory, "home"), await make_tenant(directory, "other")
    mia = await make_user(directory, "mia", tenant_id=home)
    nina = await make_user(directory, "nina", tenant_id=home)
    olga = await make_user(directory, "olga", Role.OWNER, home)
    stranger = await make_user(directory, "stranger", Role.OWNER, other)
    own = await exported(directory, mia.id, await actor_for(directory, mia.id))
    assert own["profile"]["username"] == "mia"
    assert (await exported(directory, mia.id, await actor_for(directory, olga.id)))["profile"]
    for actor_id, error in ((nina.id, Forbidden), (stranger.id, NotFound)):
        with pytest.raises(error):
            await exported(directory, mia.id, await actor_for(directory, actor_id))
    with pytest.raises(Forbidden):
        await exported(directory, mia.id, anonymous_actor())


async def test_long_lists_come_in_pages(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_SIZE", 2)
    mia = await make_user(directory, "mia", tenant_id=await make_tenant(directory, "home"))
    for _ in range(5):
        await actor_for(directory, mia.id)
    found = await exported(directory, mia.id)
    assert len(found["sessions"]) == 5
    ids = [row["id"] for row in found["history"]]
    assert ids == sorted(set(ids))
    assert len(ids) == 7


async def test_deleted_and_erased_people(directory: Directory) -> None:
    mia = await make_user(directory, "mia", tenant_id=await make_tenant(directory, "home"))
    async with transaction(directory) as tx:
        await users.delete(tx, mia.id, erase=True)
    found = await exported(directory, mia.id)
    assert found["profile"]["username"] == ""
    assert found["profile"]["deleted_at"] is not None
    assert (found["password"]["exists"], found["password"]["scheme"]) == (False, None)
    assert len(found["erasure"]) == 1
    assert found["sign_in_names"] == []
    with pytest.raises(NotFound):
        await exported(directory, 987_654_321)
