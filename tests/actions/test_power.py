"""One permission does not become all: whoever can take an account over must hold its rights."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.actions import groups, permissions, tokens, users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import Forbidden, Reason
from dragoman.rules.model import Access, Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import ANY, Action
from dragoman.store import access, grants
from dragoman.store import users as rows
from tests.support.people import (
    CREDENTIAL_FORMAT,
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    transaction,
)

pytestmark = pytest.mark.anyio

VIEW, CHANGE, SET_PASSWORD = 1, 3, 6
"""Ids of permissions in the catalogue."""
TAKEOVERS = ("username", "email", "password")


class People(msgspec.Struct, frozen=True):
    """A member with two permissions, another one as its target, an owner, their tenant."""

    mia: int
    max: int
    owner: int
    tenant: int


@pytest.fixture
async def people(directory: Directory) -> People:
    home = await make_tenant(directory, "home")
    roles = (("mia", Role.MEMBER), ("max", Role.MEMBER), ("owner", Role.OWNER))
    async with transaction(directory) as tx:
        ids = await insert_users(
            tx, [UserRow(username=name, role=role, tenant_id=home) for name, role in roles]
        )
        await grants.add(tx, ids[0], [CHANGE, SET_PASSWORD])
    mia, other, owner = ids
    return People(mia, other, owner, home)


async def take_over(directory: Directory, how: str, actor_id: int, target_id: int) -> None:
    """Do one of the things after which one can sign in as somebody else."""
    actor = await actor_for(directory, actor_id)
    if how == "password":
        await users.set_password(directory, actor, target_id, "taken-Kettle-42", PasswordRules())
        return
    name = "taken@example.com" if how == "email" else "taken"
    async with directory.begin(actor) as tx:
        await users.update(tx, target_id, UserChanges(**{how: name}))


async def state(directory: Directory, user_id: int) -> tuple[User | None, str]:
    read = directory.read(SYSTEM_ACTOR)
    return await rows.find(read, user_id), await rows.password_hash(read, user_id)


@pytest.mark.parametrize("how", TAKEOVERS)
@pytest.mark.parametrize("source", ["grant", "group", "access"])
async def test_a_right_that_the_actor_lacks_protects(
    directory: Directory, people: People, how: str, source: str
):
    async with transaction(directory) as tx:
        if source == "grant":
            await permissions.grant(tx, people.max, [VIEW])
        elif source == "group":
            group = (await groups.create(tx, people.tenant, "viewers", [VIEW])).group
            await groups.add_member(tx, group.id, people.max)
        else:
            await access.upsert(tx, people.max, [Access("thing", "read")], granted_by=0)
    before = await state(directory, people.max)
    with pytest.raises(Forbidden) as raised:
        await take_over(directory, how, people.mia, people.max)
    assert raised.value.reason is Reason.POWER
    assert await state(directory, people.max) == before
    async with directory.begin(await actor_for(directory, people.mia)) as tx:
        await users.update(tx, people.max, UserChanges(bio="changed"))  # is nobody's identity


@pytest.mark.parametrize("how", TAKEOVERS)
async def test_who_has_as_much_may(directory: Directory, people: People, how: str):
    async with transaction(directory) as tx:
        for user_id in (people.mia, people.max):
            await grants.add(tx, user_id, [VIEW])
        await access.upsert(tx, people.max, [Access("thing", "read")], granted_by=0)
        await access.upsert(tx, people.mia, [Access("thing", "full")], granted_by=0)
    before = await state(directory, people.max)
    await take_over(directory, how, people.mia, people.max)
    assert await state(directory, people.max) != before


@pytest.mark.parametrize("how", TAKEOVERS)
async def test_owners_have_everything(directory: Directory, people: People, how: str):
    async with transaction(directory) as tx:
        await access.upsert(tx, people.max, [Access("thing", "full")], granted_by=0)
    await take_over(directory, how, people.owner, people.max)
    with pytest.raises(Forbidden) as raised:
        await take_over(directory, how, people.mia, people.owner)
    assert raised.value.reason is Reason.RANK


async def test_a_credential_needs_a_lower_rank_and_every_right(
    directory: Directory, people: People, monkeypatch: pytest.MonkeyPatch
):
    """No contract lets members issue credentials; if one did, the same rule would hold."""
    async with transaction(directory) as tx:
        await users.assign_role(tx, people.max, Role.VIEWER)
        await access.upsert(tx, people.max, [Access("thing", "read")], granted_by=0)
    row = (ANY,) * 5
    monkeypatch.setitem(users.policy.TABLE, Action.ISSUE_TOKEN, row)
    async with directory.begin(await actor_for(directory, people.mia)) as tx:
        with pytest.raises(Forbidden) as raised:
            await tokens.issue(tx, directory, people.max, CREDENTIAL_FORMAT)
    assert raised.value.reason is Reason.POWER
