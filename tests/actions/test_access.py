"""Access to resources: replaced as a whole, visible within reach, granted only by its holders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from dragoman import app
from dragoman.actions import access, users
from dragoman.actions.directory import Directory
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem, Reason
from dragoman.rules.model import Access, Role, User
from dragoman.rules.vocabulary import NONE, TENANT, Action, Restrictions
from dragoman.settings import Settings
from dragoman.store import grants
from dragoman.store import users as rows
from tests.support.databases import audit_rows, query
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    transaction,
)

pytestmark = pytest.mark.anyio

SET_ACCESS = 10
"""The id of the permission ``access.set`` in the catalogue."""
ONE, TWO, THREE = (Access(f"thing_{n}", "full") for n in (1, 2, 3))


class People(msgspec.Struct, frozen=True):
    """Who plays: an owner, two members and a viewer of one tenant, an owner of another."""

    owner: int
    mia: int
    max: int
    vic: int
    stranger: int


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    """A directory on a migrated database with the first superadmin in it."""
    async with app.open_directory(settings) as directory:
        yield directory


@pytest.fixture
async def people(directory: Directory) -> People:
    """Those who play, without passwords: nobody signs in here."""
    home, away = await make_tenant(directory, "home"), await make_tenant(directory, "away")
    people = [
        ("owner", Role.OWNER),
        ("mia", Role.MEMBER),
        ("max", Role.MEMBER),
        ("vic", Role.VIEWER),
    ]
    made = [UserRow(username=name, role=role, tenant_id=home) for name, role in people]
    async with transaction(directory) as tx:
        ids = await insert_users(
            tx, [*made, UserRow(username="stranger", role=Role.OWNER, tenant_id=away)]
        )
    return People(*ids)


async def replace(
    directory: Directory, actor: Actor, user_id: int, *wanted: Access, **more: object
) -> None:
    async with transaction(directory, actor) as tx:
        await access.replace(tx, user_id, wanted, full_level="full", **more)


async def user_of(directory: Directory, user_id: int) -> User:
    user = await rows.find(directory.read(SYSTEM_ACTOR), user_id)
    assert user is not None
    return user


async def visible_access(directory: Directory, actor: Actor, user_id: int) -> list[Access]:
    return await access.list_for_user(directory.read(actor), await user_of(directory, user_id))


async def refusal_reason(
    directory: Directory, actor: Actor, user_id: int, *wanted: Access
) -> Reason:
    before = await visible_access(directory, SYSTEM_ACTOR, user_id)
    with pytest.raises(Forbidden) as refused:
        await replace(directory, actor, user_id, *wanted)
    assert await visible_access(directory, SYSTEM_ACTOR, user_id) == before, (
        "refused, so nothing is changed"
    )
    return refused.value.reason


async def with_permission(directory: Directory, user_id: int) -> Actor:
    """Return a member who was granted ``access.set``."""
    async with transaction(directory) as tx:
        await grants.add(tx, user_id, [SET_ACCESS])
    return await actor_for(directory, user_id)


class TestReplace:
    async def test_the_whole_list_is_replaced_and_kept_in_order(
        self, directory: Directory, people: People, database: str
    ):
        owner = await actor_for(directory, people.owner)
        await replace(directory, owner, people.mia, TWO, ONE)
        assert await visible_access(directory, owner, people.mia) == [ONE, TWO]
        lower = Access(TWO.resource, "read_only")
        before = (await audit_rows(database))[-1].id
        await replace(directory, owner, people.mia, THREE, lower, lower)
        assert await visible_access(directory, owner, people.mia) == [lower, THREE]
        (row,) = await audit_rows(database, before)
        assert (row.action, row.target_kind, row.target_id, row.fields) == (
            "access.set", "user", people.mia, "access",
        )  # fmt: skip
        granted = await query(database, "SELECT DISTINCT granted_by FROM access")
        assert granted == [(people.owner,)]
        await replace(directory, owner, people.mia)
        assert await visible_access(directory, owner, people.mia) == []

    async def test_what_changes_nothing_leaves_no_trace(
        self, directory: Directory, people: People, database: str
    ):
        owner = await actor_for(directory, people.owner)
        await replace(directory, owner, people.mia, ONE)
        before = (await audit_rows(database))[-1].id
        await replace(directory, owner, people.mia, ONE)
        assert await audit_rows(database, before) == []

    async def test_whatever_is_wrong_changes_nothing(self, directory: Directory, people: People):
        owner = await actor_for(directory, people.owner)
        await replace(directory, owner, people.mia, ONE)
        problem = Problem("access", "choice", "everything")
        twice = (TWO, Access(TWO.resource, "read_only"))
        with pytest.raises(Invalid) as refused:
            await replace(directory, owner, people.mia, *twice, problems=[problem])
        assert refused.value.problems == (problem, Problem("access", "invalid", TWO.resource))
        assert await visible_access(directory, owner, people.mia) == [ONE]

    async def test_many_at_once_and_words_of_any_kind(self, directory: Directory, people: People):
        odd = [Access("it's [\"a\", 'b']", "null"), Access("ünï·код", "\\"), Access("%_", "full")]
        many = [Access(f"thing_{n:04}", "full") for n in range(2000)]
        await replace(directory, SYSTEM_ACTOR, people.mia, *many, *odd)
        found = await visible_access(directory, SYSTEM_ACTOR, people.mia)
        assert found == sorted([*many, *odd], key=lambda each: each.resource)

    async def test_two_who_replace_it_at_once_leave_one_list(
        self, directory: Directory, people: People
    ):
        owner = await actor_for(directory, people.owner)
        for _ in range(5):
            await asyncio.gather(
                replace(directory, owner, people.mia, ONE, TWO),
                replace(directory, SYSTEM_ACTOR, people.mia, TWO, THREE),
            )
            assert await visible_access(directory, owner, people.mia) in ([ONE, TWO], [TWO, THREE])

    async def test_it_goes_with_the_user(self, directory: Directory, people: People, database: str):
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE)
        async with transaction(directory) as tx:
            await users.delete(tx, people.mia, erase=False)
        assert await query(database, "SELECT * FROM access") == []


class TestWhoMay:
    async def test_members_and_viewers_may_not_whoever_it_is(
        self, directory: Directory, people: People
    ):
        for plain in (people.mia, people.vic):
            actor = await actor_for(directory, plain)
            for target in (plain, people.max, people.owner, people.stranger, 987_654_321):
                with pytest.raises(Forbidden) as refused:
                    await replace(directory, actor, target, ONE)
                assert refused.value.reason is Reason.FUNCTION

    async def test_whoever_is_elsewhere_is_nobody(self, directory: Directory, people: People):
        owner = await actor_for(directory, people.owner)
        for target in (people.stranger, 987_654_321):
            with pytest.raises(NotFound):
                await replace(directory, owner, target, ONE)
        with pytest.raises(NotFound):
            await visible_access(directory, owner, people.stranger)

    async def test_everybody_sees_the_own_and_owners_that_of_all(
        self, directory: Directory, people: People
    ):
        await replace(directory, SYSTEM_ACTOR, people.vic, ONE)
        for who in (people.vic, people.owner):
            assert await visible_access(directory, await actor_for(directory, who), people.vic) == [
                ONE
            ]
        with pytest.raises(Forbidden):
            await visible_access(directory, await actor_for(directory, people.mia), people.vic)

    async def test_nobody_above(self, directory: Directory, people: People):
        mia = await with_permission(directory, people.mia)
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE)
        assert await refusal_reason(directory, mia, people.owner, ONE) is Reason.RANK

    async def test_a_contract_may_narrow_it(self, directory: Directory, people: People):
        narrow = Restrictions(rows={Action.SET_ACCESS: (TENANT, TENANT, NONE, NONE, NONE)})
        owner = await actor_for(directory, people.owner, narrow)
        assert await refusal_reason(directory, owner, people.mia, ONE) is Reason.FUNCTION

    async def test_a_platform_administrator_acts_as_an_owner_of_the_home_tenant(
        self, directory: Directory, people: People
    ):
        root = await actor_for(directory, 1, Restrictions())
        with pytest.raises(NotFound):
            await replace(directory, root, people.mia, ONE)


class TestDelegation:
    async def test_an_owner_holds_everything_even_for_itself(
        self, directory: Directory, people: People
    ):
        owner = await actor_for(directory, people.owner)
        await replace(directory, owner, people.owner, ONE, TWO)
        assert await visible_access(directory, owner, people.owner) == [ONE, TWO]

    async def test_a_member_with_the_permission_gives_what_it_holds(
        self, directory: Directory, people: People
    ):
        reads = Access(TWO.resource, "read_only")
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE, reads)
        mia = await with_permission(directory, people.mia)
        await replace(directory, mia, people.max, ONE, reads)
        await replace(directory, mia, people.max, Access(ONE.resource, "connect_only"))
        assert await visible_access(directory, mia, people.max) == [
            Access(ONE.resource, "connect_only")
        ]

    @pytest.mark.parametrize(
        "given", [TWO, Access(TWO.resource, "connect_only"), THREE, Access("thing_9", "read_only")]
    )
    async def test_and_nothing_more(self, directory: Directory, people: People, given: Access):
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE, Access(TWO.resource, "read_only"))
        mia = await with_permission(directory, people.mia)
        assert await refusal_reason(directory, mia, people.max, ONE, given) is Reason.DELEGATION
        assert await refusal_reason(directory, mia, people.mia, ONE, given) is Reason.DELEGATION, (
            "oneself"
        )

    async def test_what_somebody_has_may_stay(self, directory: Directory, people: People):
        await replace(directory, SYSTEM_ACTOR, people.max, TWO, THREE)
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE)
        mia = await with_permission(directory, people.mia)
        await replace(directory, mia, people.max, ONE, TWO)
        assert await visible_access(directory, mia, people.max) == [ONE, TWO]

    async def test_a_permission_taken_back_is_gone_at_once(
        self, directory: Directory, people: People
    ):
        await replace(directory, SYSTEM_ACTOR, people.mia, ONE)
        mia = await with_permission(directory, people.mia)
        async with transaction(directory) as tx:
            await grants.remove(tx, people.mia, [SET_ACCESS])
        assert await refusal_reason(directory, mia, people.max, ONE) is Reason.FUNCTION
