"""Groups: named sets of permissions; actors cannot use them to grant what they lack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from dragoman import app
from dragoman.actions import groups, permissions, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.groups import GroupSummary
from dragoman.rules.actor import Actor
from dragoman.rules.errors import DirectoryError, Forbidden, Invalid, NotFound, Problem, Reason
from dragoman.rules.policy import PERMISSION_CATALOGUE
from dragoman.store import groups as group_store
from tests.support.databases import audit_rows, query, settings_for
from tests.support.people import (
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    present_credential,
    transaction,
)
from tests.support.world import MISSING_USER_ID, World

pytestmark = pytest.mark.anyio

IDS = {codename: number for number, codename, *_ in PERMISSION_CATALOGUE}
ASSIGN, CHANGE, DELETE, VIEW = (
    IDS[name] for name in ("permissions.assign", "users.change", "users.delete", "permissions.view")
)


@pytest.fixture
async def directory(seeded_database: tuple[str, World]) -> AsyncIterator[Directory]:
    """A directory on the inhabited database."""
    async with app.open_directory(settings_for(seeded_database[0])) as directory:
        yield directory


@pytest.fixture
def user_ids(seeded_database: tuple[str, World]) -> dict[str, int]:
    """Everybody's id by the name of ``support/world.py``."""
    return {name: person.id for name, person in seeded_database[1].people.items()}


@pytest.fixture
def acme(seeded_database: tuple[str, World]) -> int:
    """The tenant of most of them."""
    return seeded_database[1].tenants["acme"].id


async def in_transaction(
    action: Any, directory: Directory, *given: Any, actor: Actor = SYSTEM_ACTOR
) -> Any:
    """Do one thing in a transaction of its own."""
    async with transaction(directory, actor) as tx:
        return await action(tx, *given)


async def make(directory: Directory, tenant_id: int, name: str, *held: int) -> int:
    made: GroupSummary = await in_transaction(groups.create, directory, tenant_id, name, held)
    return made.group.id


async def assert_forbidden(work: Awaitable[Any], reason: Reason) -> None:
    with pytest.raises(Forbidden) as raised:
        await work
    assert raised.value.reason is reason


async def listed(directory: Directory, tenant_id: int | None = None) -> list[tuple[Any, ...]]:
    found = await groups.list_all(directory.read(SYSTEM_ACTOR), tenant_id)
    return [(each.group.name, each.permissions, each.member_count) for each in found]


# --------------------------------------------------------------------------- create and list


async def test_create_and_list(directory: Directory, acme: int, user_ids: dict[str, int]) -> None:
    globex = await make_tenant(directory, "initech")
    desk = await make(directory, acme, "  Desk ", DELETE, CHANGE)
    await make(directory, globex, "Desk")
    await make(directory, acme, "Empty")
    await in_transaction(groups.add_member, directory, desk, user_ids["mia"])
    held = ("users.change", "users.delete")
    assert await listed(directory, acme) == [("Desk", held, 1), ("Empty", (), 0)]
    assert await listed(directory, globex) == [("Desk", (), 0)]
    assert await listed(directory) == [("Desk", held, 1), ("Desk", (), 0), ("Empty", (), 0)]
    found = await groups.get(directory.read(SYSTEM_ACTOR), desk)
    assert (found.group.tenant_id, found.permissions, found.member_count) == (acme, held, 1)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "blank"),
        (" \u3000", "blank"),
        ("x" * 151, "too_long"),
        ("De\u202esk", "unsafe"),
        ("De\nsk", "unsafe"),
        ("17", "numeric"),
        ("１７", "numeric"),
    ],
)
async def test_what_a_name_must_not_be(
    directory: Directory, acme: int, name: str, code: str
) -> None:
    with pytest.raises(Invalid) as raised:
        await make(directory, acme, name, CHANGE)
    assert [(p.field, p.code) for p in raised.value.problems] == [("name", code)]
    assert await listed(directory) == []


async def test_a_name_is_unique_in_its_tenant(directory: Directory, acme: int) -> None:
    """By the canonical key; two who make it at once get one group."""
    await make(directory, acme, "Straße")
    for same in "straße", "STRASSE", " Strasse":
        with pytest.raises(Invalid) as raised:
            await make(directory, acme, same)
        assert raised.value.problems == (Problem("name", "taken"),)
    tries = [make(directory, acme, "Desk", CHANGE) for _ in range(4)]
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, int) for each in came) == 1
    assert sum(isinstance(each, Invalid) for each in came) == 3
    assert len(await listed(directory, acme)) == 2


async def test_all_that_is_wrong_is_told_at_once(directory: Directory, acme: int) -> None:
    with pytest.raises(Invalid) as raised:
        await make(directory, acme, "", CHANGE, 99, 98)
    assert raised.value.problems == (
        Problem("name", "blank"),
        Problem("permissions", "unknown", 99),
        Problem("permissions", "unknown", 98),
    )
    assert await listed(directory) == []


async def test_a_tenant_that_is_gone_has_no_groups(directory: Directory) -> None:
    initech = await make_tenant(directory, "initech")
    desk = await make(directory, initech, "Desk", CHANGE)
    await in_transaction(lambda tx: tenants.delete(tx, initech, home_slug="main"), directory)
    assert await listed(directory) == []
    with pytest.raises(NotFound):
        await groups.get(directory.read(SYSTEM_ACTOR), desk)
    for tenant_id in initech, MISSING_USER_ID:
        with pytest.raises(NotFound):
            await make(directory, tenant_id, "Other")
    for verb in groups.add_permissions, groups.remove_permissions:
        with pytest.raises(NotFound):
            await in_transaction(verb, directory, desk, [CHANGE])
    with pytest.raises(NotFound):
        await in_transaction(groups.delete, directory, desk)


# --------------------------------------------------------------------------- effect


async def test_it_takes_effect_at_the_next_request(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """Every change is seen, no session ends, and nobody else gains anything."""
    of_mia, of_vic = (
        await present_credential(directory, user_ids["mia"]),
        await present_credential(directory, user_ids["vic"]),
    )

    async def held() -> set[str]:
        vic = (await tokens.authenticate(directory, of_vic)).actor
        assert vic.permissions == frozenset()
        mia = (await tokens.authenticate(directory, of_mia)).actor
        return set(mia.permissions)

    desk = await make(directory, acme, "Desk", CHANGE)
    assert await held() == set()
    assert await in_transaction(groups.add_member, directory, desk, user_ids["mia"]) is True
    assert await held() == {"users.change"}
    await in_transaction(groups.add_permissions, directory, desk, [DELETE, CHANGE])
    assert await held() == {"users.change", "users.delete"}
    await in_transaction(groups.remove_permissions, directory, desk, [CHANGE])
    assert await held() == {"users.delete"}
    assert await in_transaction(groups.remove_member, directory, desk, user_ids["mia"]) is True
    assert await held() == set()
    await in_transaction(groups.add_member, directory, desk, user_ids["mia"])
    await in_transaction(groups.delete, directory, desk)
    assert await held() == set()


async def test_what_is_so_already_is_no_change(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    desk = await make(directory, acme, "Desk", CHANGE)
    await in_transaction(groups.add_member, directory, desk, user_ids["mia"])
    before = (await audit_rows(directory.settings.database))[-1].id
    assert await in_transaction(groups.add_member, directory, desk, user_ids["mia"]) is False
    assert await in_transaction(groups.remove_member, directory, desk, user_ids["vic"]) is False
    same: GroupSummary = await in_transaction(groups.add_permissions, directory, desk, [CHANGE])
    assert same.permissions == ("users.change",)
    await in_transaction(groups.remove_permissions, directory, desk, [VIEW])
    assert await audit_rows(directory.settings.database, before) == []


async def test_every_change_stands_in_the_history(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    before = (await audit_rows(directory.settings.database))[-1].id
    desk = await make(directory, acme, "Desk", CHANGE)
    await in_transaction(groups.add_permissions, directory, desk, [VIEW])
    await in_transaction(groups.add_member, directory, desk, user_ids["mia"])
    await in_transaction(groups.delete, directory, desk)
    found = await audit_rows(directory.settings.database, before)
    assert [(e.action, e.target_kind, e.target_id, e.fields) for e in found] == [
        ("groups.create", "group", desk, "name permissions"),
        ("permissions.assign", "group", desk, "permissions"),
        ("permissions.assign", "user", user_ids["mia"], "groups"),
        ("groups.delete", "group", desk, ""),
    ]


async def test_ids_are_never_given_out_twice(directory: Directory, acme: int) -> None:
    desk = await make(directory, acme, "Desk", CHANGE)
    await in_transaction(groups.delete, directory, desk)
    assert await make(directory, acme, "Desk") > desk
    with pytest.raises(NotFound):
        await in_transaction(groups.delete, directory, desk)


async def test_only_users_of_the_tenant(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """Neither those of another one nor those of none, not even the platform's own."""
    desk = await make(directory, acme, "Desk", CHANGE)
    for name in "gus", "gil", "ada", "root":
        for verb in groups.add_member, groups.remove_member:
            with pytest.raises(Invalid) as raised:
                await in_transaction(verb, directory, desk, user_ids[name])
            assert raised.value.problems == (Problem("tenant", "foreign_tenant"),)
    for group_id, user_id in (desk, MISSING_USER_ID), (MISSING_USER_ID, user_ids["mia"]):
        with pytest.raises(NotFound):
            await in_transaction(groups.add_member, directory, group_id, user_id)
    assert await listed(directory) == [("Desk", ("users.change",), 0)]


async def test_a_deleted_user_is_in_no_group(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    desk = await make(directory, acme, "Desk", CHANGE)
    await in_transaction(groups.add_member, directory, desk, user_ids["mia"])
    async with transaction(directory) as tx:
        await users.delete(tx, user_ids["mia"], erase=False)
    assert await listed(directory) == [("Desk", ("users.change",), 0)]
    with pytest.raises(NotFound):
        await in_transaction(groups.add_member, directory, desk, user_ids["mia"])


# --------------------------------------------------------------------------- who may


async def test_nobody_without_the_permission(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    desk = await make(directory, acme, "Desk", CHANGE)
    actors = [await actor_for(directory, user_ids[name]) for name in ("mia", "vic", "gus")]
    for actor in (*actors, anonymous_actor()):
        read = directory.read(actor)
        for work in (
            groups.list_all(read),
            groups.list_all(read, acme),
            groups.get(read, desk),
            groups.get(read, MISSING_USER_ID),
            in_transaction(groups.create, directory, acme, "Other", actor=actor),
            in_transaction(groups.delete, directory, desk, actor=actor),
            in_transaction(groups.delete, directory, MISSING_USER_ID, actor=actor),
            in_transaction(groups.add_permissions, directory, desk, [CHANGE], actor=actor),
            in_transaction(groups.remove_permissions, directory, desk, [CHANGE], actor=actor),
            in_transaction(groups.add_member, directory, desk, actor.user_id, actor=actor),
            in_transaction(groups.remove_member, directory, desk, actor.user_id, actor=actor),
        ):
            await assert_forbidden(work, Reason.FUNCTION)
    assert await listed(directory) == [("Desk", ("users.change",), 0)]


async def test_owners_have_those_of_their_tenant(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """What is beyond it is as if it had never been."""
    olga, gil = (
        await actor_for(directory, user_ids["olga"]),
        await actor_for(directory, user_ids["gil"]),
    )
    made: GroupSummary = await in_transaction(
        groups.create, directory, acme, "Desk", [CHANGE], actor=olga
    )
    desk = made.group.id
    assert (
        await in_transaction(groups.add_member, directory, desk, user_ids["mia"], actor=olga)
        is True
    )
    assert len(await groups.list_all(directory.read(olga), acme)) == 1
    await assert_forbidden(groups.list_all(directory.read(olga)), Reason.REACH)
    read = directory.read(gil)
    for work in (
        groups.list_all(read, acme),
        groups.list_all(read, MISSING_USER_ID),
        groups.get(read, desk),
        groups.get(read, MISSING_USER_ID),
        in_transaction(groups.create, directory, acme, "Other", actor=gil),
        in_transaction(groups.add_permissions, directory, desk, [VIEW], actor=gil),
        in_transaction(groups.remove_permissions, directory, desk, [CHANGE], actor=gil),
        in_transaction(groups.add_member, directory, desk, user_ids["gus"], actor=gil),
        in_transaction(groups.remove_member, directory, desk, user_ids["mia"], actor=gil),
        in_transaction(groups.delete, directory, desk, actor=gil),
    ):
        with pytest.raises(NotFound):
            await work
    assert await listed(directory) == [("Desk", ("users.change",), 1)]


async def test_nobody_confers_what_it_does_not_hold(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """Not by a new group, nor by an old one, nor by letting somebody in, the own self included."""
    async with transaction(directory) as tx:
        await permissions.grant(tx, user_ids["mia"], [ASSIGN, CHANGE])
    mia = await actor_for(directory, user_ids["mia"])
    desk = await make(directory, acme, "Desk", CHANGE)
    power = await make(directory, acme, "Power", CHANGE, DELETE)
    await in_transaction(groups.add_member, directory, power, user_ids["vic"])
    for work in (
        in_transaction(groups.create, directory, acme, "Other", [DELETE], actor=mia),
        in_transaction(groups.add_permissions, directory, desk, [CHANGE, VIEW], actor=mia),
        in_transaction(groups.remove_permissions, directory, power, [DELETE], actor=mia),
        in_transaction(groups.add_member, directory, power, user_ids["mia"], actor=mia),
        in_transaction(groups.add_member, directory, power, user_ids["idle"], actor=mia),
        in_transaction(groups.remove_member, directory, power, user_ids["vic"], actor=mia),
        in_transaction(groups.delete, directory, power, actor=mia),
    ):
        await assert_forbidden(work, Reason.DELEGATION)
    assert await listed(directory) == [
        ("Desk", ("users.change",), 0),
        ("Power", ("users.change", "users.delete"), 1),
    ]
    assert (
        await in_transaction(groups.add_member, directory, desk, user_ids["vic"], actor=mia) is True
    )
    await in_transaction(groups.remove_permissions, directory, power, [CHANGE], actor=mia)
    await in_transaction(groups.create, directory, acme, "Other", [ASSIGN], actor=mia)


async def test_nobody_acts_on_a_higher_rank(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """Neither on a member of that rank nor, by way of the group, on all members at once."""
    async with transaction(directory) as tx:
        await permissions.grant(tx, user_ids["mia"], [ASSIGN, CHANGE])
    mia = await actor_for(directory, user_ids["mia"])
    desk = await make(directory, acme, "Desk", CHANGE)
    await assert_forbidden(
        in_transaction(groups.add_member, directory, desk, user_ids["olga"], actor=mia), Reason.RANK
    )
    await in_transaction(groups.add_member, directory, desk, user_ids["olga"])
    await in_transaction(groups.add_member, directory, desk, user_ids["vic"])
    for work in (
        in_transaction(groups.remove_member, directory, desk, user_ids["olga"], actor=mia),
        in_transaction(groups.add_permissions, directory, desk, [ASSIGN], actor=mia),
        in_transaction(groups.remove_permissions, directory, desk, [CHANGE], actor=mia),
        in_transaction(groups.delete, directory, desk, actor=mia),
    ):
        await assert_forbidden(work, Reason.RANK)
    assert (
        await in_transaction(groups.remove_member, directory, desk, user_ids["vic"], actor=mia)
        is True
    )
    otto = await actor_for(directory, user_ids["otto"])
    await in_transaction(
        groups.remove_permissions, directory, desk, [CHANGE], actor=otto
    )  # of equal rank


async def test_what_was_taken_back_meanwhile_confers_nothing(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    async with transaction(directory) as tx:
        await permissions.grant(tx, user_ids["mia"], [ASSIGN, CHANGE])
    mia = await actor_for(directory, user_ids["mia"])
    desk = await make(directory, acme, "Desk", CHANGE)
    async with transaction(directory) as tx:
        await permissions.revoke(tx, user_ids["mia"], [CHANGE])
    await assert_forbidden(
        in_transaction(groups.add_member, directory, desk, user_ids["vic"], actor=mia),
        Reason.DELEGATION,
    )
    await assert_forbidden(
        in_transaction(groups.create, directory, acme, "Other", [CHANGE], actor=mia),
        Reason.DELEGATION,
    )
    async with transaction(directory) as tx:
        await permissions.revoke(tx, user_ids["mia"], [ASSIGN])
    await assert_forbidden(
        in_transaction(groups.add_member, directory, desk, user_ids["vic"], actor=mia),
        Reason.FUNCTION,
    )
    await assert_forbidden(
        in_transaction(groups.create, directory, acme, "Other", actor=mia), Reason.FUNCTION
    )


async def test_members_come_and_go_while_the_group_does(
    directory: Directory, acme: int, user_ids: dict[str, int]
) -> None:
    """Nothing is left of a group that was deleted while somebody was let in."""
    for _ in range(5):
        desk = await make(directory, acme, "Desk", CHANGE)
        came = await asyncio.gather(
            in_transaction(groups.add_member, directory, desk, user_ids["mia"]),
            in_transaction(groups.delete, directory, desk),
            in_transaction(groups.add_member, directory, desk, user_ids["vic"]),
            in_transaction(groups.add_permissions, directory, desk, [VIEW]),
            return_exceptions=True,
        )
        odd = [e for e in came if isinstance(e, Exception) and not isinstance(e, NotFound)]
        assert not odd, [type(each).__name__ for each in odd if isinstance(each, DirectoryError)]
        for table in "groups", "group_members", "group_permissions":
            left = await query(directory.settings.database, f"SELECT count(*) FROM {table}")
            assert [tuple(row) for row in left] == [(0,)], table


async def test_a_name_is_found_as_it_is_compared(directory: Directory, acme: int) -> None:
    desk = await make(directory, acme, "Straße")
    read = directory.read(SYSTEM_ACTOR)
    found = await group_store.find_by_name(read, acme, " STRASSE ")
    assert found is not None
    assert found.id == desk
    assert (
        await group_store.find_by_name(read, await make_tenant(directory, "initech"), "Straße")
        is None
    )
