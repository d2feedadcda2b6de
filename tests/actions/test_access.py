"""Access to resources: replaced whole, seen by whom it concerns, conferred by whoever holds it."""

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
from dragoman.rules.vocabulary import NONE, TENANT, Action, Narrowing
from dragoman.settings import Settings
from dragoman.store import grants
from dragoman.store import users as rows
from tests.store.tools import (
    MACHINE,
    Row,
    actor_of,
    insert_rows,
    make_tenant,
    transaction,
)
from tests.support.databases import history, query

pytestmark = pytest.mark.anyio

SET_ACCESS = 10
"""The id of the permission ``access.set`` in the catalogue."""
ONE, TWO, THREE = (Access(f"thing_{n}", "full") for n in (1, 2, 3))


class Cast(msgspec.Struct, frozen=True):
    """Who plays: an owner, two members and a viewer of one tenant, an owner of another."""

    owner: int
    mia: int
    max: int
    vic: int
    stranger: int


@pytest.fixture
async def directory(settings: Settings) -> AsyncIterator[Directory]:
    """A directory on a migrated database with the first superadmin in it."""
    async with app.opened(settings) as directory:
        yield directory


@pytest.fixture
async def cast(directory: Directory) -> Cast:
    """Those who play, without passwords: nobody signs in here."""
    home, away = await make_tenant(directory, "home"), await make_tenant(directory, "away")
    people = [
        ("owner", Role.OWNER),
        ("mia", Role.MEMBER),
        ("max", Role.MEMBER),
        ("vic", Role.VIEWER),
    ]
    made = [Row(username=name, role=role, tenant_id=home) for name, role in people]
    async with transaction(directory) as tx:
        ids = await insert_rows(
            tx, [*made, Row(username="stranger", role=Role.OWNER, tenant_id=away)]
        )
    return Cast(*ids)


async def replace(
    directory: Directory, actor: Actor, user_id: int, *wanted: Access, **more: object
) -> None:
    async with transaction(directory, actor) as tx:
        await access.replace(tx, user_id, wanted, greatest="full", **more)


async def user_of(directory: Directory, user_id: int) -> User:
    user = await rows.find(directory.read(MACHINE), user_id)
    assert user is not None
    return user


async def seen(directory: Directory, actor: Actor, user_id: int) -> list[Access]:
    return await access.view(directory.read(actor), await user_of(directory, user_id))


async def reason_of(directory: Directory, actor: Actor, user_id: int, *wanted: Access) -> Reason:
    before = await seen(directory, MACHINE, user_id)
    with pytest.raises(Forbidden) as refused:
        await replace(directory, actor, user_id, *wanted)
    assert await seen(directory, MACHINE, user_id) == before, "refused, so nothing is changed"
    return refused.value.reason


async def with_permission(directory: Directory, user_id: int) -> Actor:
    """Return a member who was granted ``access.set``."""
    async with transaction(directory) as tx:
        await grants.add(tx, user_id, [SET_ACCESS])
    return await actor_of(directory, user_id)


class TestReplace:
    async def test_the_whole_list_is_replaced_and_kept_in_order(
        self, directory: Directory, cast: Cast, database: str
    ):
        owner = await actor_of(directory, cast.owner)
        await replace(directory, owner, cast.mia, TWO, ONE)
        assert await seen(directory, owner, cast.mia) == [ONE, TWO]
        lower = Access(TWO.resource, "read_only")
        before = (await history(database))[-1].id
        await replace(directory, owner, cast.mia, THREE, lower, lower)
        assert await seen(directory, owner, cast.mia) == [lower, THREE]
        (row,) = await history(database, before)
        assert (row.action, row.target_kind, row.target_id, row.fields) == (
            "access.set", "user", cast.mia, "access",
        )  # fmt: skip
        granted = await query(database, "SELECT DISTINCT granted_by FROM access")
        assert granted == [(cast.owner,)]
        await replace(directory, owner, cast.mia)
        assert await seen(directory, owner, cast.mia) == []

    async def test_what_changes_nothing_leaves_no_trace(
        self, directory: Directory, cast: Cast, database: str
    ):
        owner = await actor_of(directory, cast.owner)
        await replace(directory, owner, cast.mia, ONE)
        before = (await history(database))[-1].id
        await replace(directory, owner, cast.mia, ONE)
        assert await history(database, before) == []

    async def test_whatever_is_wrong_changes_nothing(self, directory: Directory, cast: Cast):
        owner = await actor_of(directory, cast.owner)
        await replace(directory, owner, cast.mia, ONE)
        told = Problem("access", "choice", "everything")
        twice = (TWO, Access(TWO.resource, "read_only"))
        with pytest.raises(Invalid) as refused:
            await replace(directory, owner, cast.mia, *twice, problems=[told])
        assert refused.value.problems == (told, Problem("access", "invalid", TWO.resource))
        assert await seen(directory, owner, cast.mia) == [ONE]

    async def test_many_at_once_and_words_of_any_kind(self, directory: Directory, cast: Cast):
        odd = [Access("it's [\"a\", 'b']", "null"), Access("ünï·код", "\\"), Access("%_", "full")]
        many = [Access(f"thing_{n:04}", "full") for n in range(2000)]
        await replace(directory, MACHINE, cast.mia, *many, *odd)
        found = await seen(directory, MACHINE, cast.mia)
        assert found == sorted([*many, *odd], key=lambda each: each.resource)

    async def test_two_who_replace_it_at_once_leave_one_list(
        self, directory: Directory, cast: Cast
    ):
        owner = await actor_of(directory, cast.owner)
        for _ in range(5):
            await asyncio.gather(
                replace(directory, owner, cast.mia, ONE, TWO),
                replace(directory, MACHINE, cast.mia, TWO, THREE),
            )
            assert await seen(directory, owner, cast.mia) in ([ONE, TWO], [TWO, THREE])

    async def test_it_goes_with_the_user(self, directory: Directory, cast: Cast, database: str):
        await replace(directory, MACHINE, cast.mia, ONE)
        async with transaction(directory) as tx:
            await users.delete(tx, cast.mia, erase=False)
        assert await query(database, "SELECT * FROM access") == []


class TestWhoMay:
    async def test_members_and_viewers_may_not_whoever_it_is(
        self, directory: Directory, cast: Cast
    ):
        for plain in (cast.mia, cast.vic):
            actor = await actor_of(directory, plain)
            for target in (plain, cast.max, cast.owner, cast.stranger, 987_654_321):
                with pytest.raises(Forbidden) as refused:
                    await replace(directory, actor, target, ONE)
                assert refused.value.reason is Reason.FUNCTION

    async def test_whoever_is_elsewhere_is_nobody(self, directory: Directory, cast: Cast):
        owner = await actor_of(directory, cast.owner)
        for target in (cast.stranger, 987_654_321):
            with pytest.raises(NotFound):
                await replace(directory, owner, target, ONE)
        with pytest.raises(NotFound):
            await seen(directory, owner, cast.stranger)

    async def test_everybody_sees_the_own_and_owners_that_of_all(
        self, directory: Directory, cast: Cast
    ):
        await replace(directory, MACHINE, cast.vic, ONE)
        for who in (cast.vic, cast.owner):
            assert await seen(directory, await actor_of(directory, who), cast.vic) == [ONE]
        with pytest.raises(Forbidden):
            await seen(directory, await actor_of(directory, cast.mia), cast.vic)

    async def test_nobody_above(self, directory: Directory, cast: Cast):
        mia = await with_permission(directory, cast.mia)
        await replace(directory, MACHINE, cast.mia, ONE)
        assert await reason_of(directory, mia, cast.owner, ONE) is Reason.RANK

    async def test_a_contract_may_narrow_it(self, directory: Directory, cast: Cast):
        narrow = Narrowing(rows={Action.SET_ACCESS: (TENANT, TENANT, NONE, NONE, NONE)})
        owner = await actor_of(directory, cast.owner, narrow)
        assert await reason_of(directory, owner, cast.mia, ONE) is Reason.FUNCTION

    async def test_a_platform_administrator_acts_as_an_owner_of_the_home_tenant(
        self, directory: Directory, cast: Cast
    ):
        root = await actor_of(directory, 1, Narrowing())
        with pytest.raises(NotFound):
            await replace(directory, root, cast.mia, ONE)


class TestConferring:
    async def test_an_owner_holds_everything_even_for_itself(
        self, directory: Directory, cast: Cast
    ):
        owner = await actor_of(directory, cast.owner)
        await replace(directory, owner, cast.owner, ONE, TWO)
        assert await seen(directory, owner, cast.owner) == [ONE, TWO]

    async def test_a_member_with_the_permission_gives_what_it_holds(
        self, directory: Directory, cast: Cast
    ):
        reads = Access(TWO.resource, "read_only")
        await replace(directory, MACHINE, cast.mia, ONE, reads)
        mia = await with_permission(directory, cast.mia)
        await replace(directory, mia, cast.max, ONE, reads)
        await replace(directory, mia, cast.max, Access(ONE.resource, "connect_only"))
        assert await seen(directory, mia, cast.max) == [Access(ONE.resource, "connect_only")]

    @pytest.mark.parametrize(
        "given", [TWO, Access(TWO.resource, "connect_only"), THREE, Access("thing_9", "read_only")]
    )
    async def test_and_nothing_more(self, directory: Directory, cast: Cast, given: Access):
        await replace(directory, MACHINE, cast.mia, ONE, Access(TWO.resource, "read_only"))
        mia = await with_permission(directory, cast.mia)
        assert await reason_of(directory, mia, cast.max, ONE, given) is Reason.CONFER
        assert await reason_of(directory, mia, cast.mia, ONE, given) is Reason.CONFER, "oneself"

    async def test_what_somebody_has_may_stay(self, directory: Directory, cast: Cast):
        await replace(directory, MACHINE, cast.max, TWO, THREE)
        await replace(directory, MACHINE, cast.mia, ONE)
        mia = await with_permission(directory, cast.mia)
        await replace(directory, mia, cast.max, ONE, TWO)
        assert await seen(directory, mia, cast.max) == [ONE, TWO]

    async def test_a_permission_taken_back_is_gone_at_once(self, directory: Directory, cast: Cast):
        await replace(directory, MACHINE, cast.mia, ONE)
        mia = await with_permission(directory, cast.mia)
        async with transaction(directory) as tx:
            await grants.remove(tx, cast.mia, [SET_ACCESS])
        assert await reason_of(directory, mia, cast.max, ONE) is Reason.FUNCTION
