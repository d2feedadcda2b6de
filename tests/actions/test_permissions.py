"""Permissions: granted directly or by group, effective with the next request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import groups as teams
from dragoman.actions import permissions, tokens, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem, Reason
from dragoman.rules.model import Permission, Role, UserGrants
from dragoman.rules.policy import PERMISSION_CATALOGUE, granted_reach
from dragoman.rules.vocabulary import Action, Reach, Restrictions
from dragoman.store import grants as given
from dragoman.store import permissions as permission_store
from dragoman.store.drivers import sqlite
from dragoman.store.query import Query
from dragoman.store.schema import grants, group_members, group_permissions, groups
from tests.support.databases import audit_rows, query, settings_for
from tests.support.people import (
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    present_credential,
    transaction,
)
from tests.support.world import MISSING_USER_ID, World

pytestmark = pytest.mark.anyio

IDS = {codename: number for number, codename, *_ in PERMISSION_CATALOGUE}
ASSIGN, CHANGE, DELETE, VIEW = (
    IDS[name] for name in ("permissions.assign", "users.change", "users.delete", "permissions.view")
)
OWN_PERMISSIONS_ONLY = Restrictions(refuse_other_ids=frozenset({Action.VIEW_PERMISSIONS}))


@pytest.fixture
async def directory(seeded_database: tuple[str, World]) -> AsyncIterator[Directory]:
    """A directory on the inhabited database."""
    async with app.open_directory(settings_for(seeded_database[0])) as directory:
        yield directory


@pytest.fixture
def user_ids(seeded_database: tuple[str, World]) -> dict[str, int]:
    """Everybody's id by the name of ``support/world.py``."""
    return {name: person.id for name, person in seeded_database[1].people.items()}


async def grant(directory: Directory, actor: Actor, user_id: int, *ids: int) -> list[int]:
    async with transaction(directory, actor) as tx:
        return [each.id for each in await permissions.grant(tx, user_id, ids)]


async def revoke(directory: Directory, actor: Actor, user_id: int, *ids: int) -> list[int]:
    async with transaction(directory, actor) as tx:
        return [each.id for each in await permissions.revoke(tx, user_id, ids)]


async def assert_forbidden(work: Awaitable[Any], reason: Reason) -> None:
    with pytest.raises(Forbidden) as refused:
        await work
    assert refused.value.reason is reason


async def rows(directory: Directory) -> list[tuple[Any, ...]]:
    return await query(directory.settings.database, "SELECT user_id, permission_id FROM grants")


async def test_a_grant_and_a_group_reach_their_holder_and_nobody_else(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    mia, gus = world.people["mia"].id, world.people["gus"].id
    async with app.open_directory(settings_for(database)) as directory:
        of_mia = await present_credential(directory, mia)
        of_gus = await present_credential(directory, gus)
        async with transaction(directory) as tx:
            await tx.run(
                Query(
                    sa.insert(grants).values(
                        user_id=mia, permission_id=3, granted_by=0, granted_at=tx.now
                    )
                )
            )
            group = await tx.fetch_one(
                Query(
                    sa.insert(groups)
                    .values(
                        tenant_id=world.tenants["acme"].id,
                        name="Desk",
                        name_key="desk",
                        created_at=tx.now,
                    )
                    .returning(groups.c.id)
                )
            )
            member = {"user_id": mia, "group_id": group}
            await tx.run(Query(sa.insert(group_members).values(**member)))
            holds = {"group_id": group, "permission_id": 4}
            await tx.run(Query(sa.insert(group_permissions).values(**holds)))

        actor = (await tokens.authenticate(directory, of_mia)).actor
        assert actor.permissions == {"users.change", "users.delete"}
        assert granted_reach(actor, Action.UPDATE_USER) is Reach.TENANT
        assert granted_reach(actor, Action.SET_PASSWORD) is Reach.NONE

        other = (await tokens.authenticate(directory, of_gus)).actor
        assert other.permissions == frozenset()
        assert granted_reach(other, Action.UPDATE_USER) is Reach.SELF


# --------------------------------------------------------------------------- the catalogue


async def test_the_table_is_the_rules_catalogue(directory: Directory) -> None:
    """Ids are small, from 1, and never change."""
    found = await permission_store.list_all(directory.read(SYSTEM_ACTOR))
    assert found == [
        Permission(number, code, name) for number, code, name, _ in PERMISSION_CATALOGUE
    ]
    assert [each.id for each in found] == list(range(1, len(found) + 1))


# --------------------------------------------------------------------------- view


async def test_the_own_ones_may_be_read_by_everybody(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    """The list holds direct grants, by id, and not what a role or a group brings."""
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], DELETE, CHANGE)
    async with transaction(directory) as tx:
        desk = await teams.create(tx, await tenant_of(directory, user_ids["mia"]), "Desk", [VIEW])
        await teams.add_member(tx, desk.group.id, user_ids["mia"])
    for name, expected in ("mia", [CHANGE, DELETE]), ("vic", []), ("olga", []), ("root", []):
        actor = await actor_for(directory, user_ids[name])
        found = await permissions.list_for_user(directory.read(actor), user_ids[name])
        assert [each.id for each in found] == expected, name


async def tenant_of(directory: Directory, user_id: int) -> int:
    user = await user_lists.get(directory.read(SYSTEM_ACTOR), user_id)
    assert user.tenant_id is not None
    return user.tenant_id


async def test_others_are_read_by_owners_and_with_the_permission(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    olga, gil = (
        await actor_for(directory, user_ids["olga"]),
        await actor_for(directory, user_ids["gil"]),
    )
    assert await permissions.list_for_user(directory.read(olga), user_ids["mia"]) == []
    for unseen in user_ids["mia"], MISSING_USER_ID, -1:
        with pytest.raises(NotFound):
            await permissions.list_for_user(directory.read(gil), unseen)
    vic = await actor_for(directory, user_ids["vic"], OWN_PERMISSIONS_ONLY)
    for other in user_ids["mia"], user_ids["gus"], MISSING_USER_ID, -1:
        await assert_forbidden(
            permissions.list_for_user(directory.read(vic), other), Reason.FUNCTION
        )
    await grant(directory, SYSTEM_ACTOR, user_ids["vic"], VIEW)
    vic = await actor_for(directory, user_ids["vic"], OWN_PERMISSIONS_ONLY)
    assert await permissions.list_for_user(directory.read(vic), user_ids["mia"]) == []
    assert (
        await permissions.list_for_user(directory.read(vic), user_ids["olga"]) == []
    )  # seeing is not acting
    with pytest.raises(NotFound):
        await permissions.list_for_user(directory.read(vic), user_ids["gus"])
    with pytest.raises(Forbidden):
        await permissions.list_for_user(directory.read(anonymous_actor()), user_ids["mia"])


# --------------------------------------------------------------------------- grant and revoke


async def test_union_and_difference(directory: Directory, user_ids: dict[str, int]) -> None:
    """A repetition changes nothing, and is no change in the history either."""
    olga, mia = await actor_for(directory, user_ids["olga"]), user_ids["mia"]
    database = directory.settings.database
    before = (await audit_rows(database))[-1].id
    assert await grant(directory, olga, mia, DELETE, CHANGE, DELETE) == [CHANGE, DELETE]
    assert await grant(directory, olga, mia, CHANGE, VIEW) == [CHANGE, DELETE, VIEW]
    (first, second) = await audit_rows(database, before)
    for row in first, second:
        assert (row.actor_id, row.action, row.target_kind) == (olga.user_id, ASSIGNED, "user")
        assert (row.target_id, row.fields) == (mia, "permissions")
    assert await grant(directory, olga, mia, CHANGE) == [CHANGE, DELETE, VIEW]
    assert await grant(directory, olga, mia) == [CHANGE, DELETE, VIEW]
    assert await revoke(directory, olga, mia, ASSIGN) == [CHANGE, DELETE, VIEW]
    assert len(await audit_rows(database, before)) == 2
    assert await revoke(directory, olga, mia, CHANGE, ASSIGN) == [DELETE, VIEW]
    assert await revoke(directory, olga, mia, DELETE, VIEW) == []
    assert len(await audit_rows(database, before)) == 4
    granted = await query(database, "SELECT count(*) FROM grants")
    assert granted == [(0,)]


ASSIGNED = "permissions.assign"


async def test_who_granted_it_and_when_is_kept(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    await grant(directory, await actor_for(directory, user_ids["olga"]), user_ids["mia"], CHANGE)
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE, DELETE)
    found = await query(
        directory.settings.database,
        "SELECT permission_id, granted_by, granted_at > 1700000000000000 FROM grants ORDER BY 1",
    )
    assert [tuple(row) for row in found] == [(CHANGE, user_ids["olga"], True), (DELETE, 0, True)]


@pytest.mark.parametrize("change", [grant, revoke], ids=["grant", "revoke"])
async def test_an_unknown_id_changes_nothing(
    directory: Directory,
    user_ids: dict[str, int],
    change: Callable[..., Awaitable[list[int]]],
) -> None:
    olga, mia = await actor_for(directory, user_ids["olga"]), user_ids["mia"]
    await grant(directory, olga, mia, CHANGE)
    before = await rows(directory), len(await audit_rows(directory.settings.database))
    for wrong in 99, 0, -1, 2**63 - 1:
        with pytest.raises(Invalid) as refused:
            await change(directory, olga, mia, CHANGE, DELETE, wrong)
        assert refused.value.problems == (Problem("permissions", "unknown", wrong),)
    assert (await rows(directory), len(await audit_rows(directory.settings.database))) == before


async def test_what_the_dialect_found_wrong_comes_after_the_right_and_the_user(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    problem = Problem("permissions", "required")
    for name, target, expected in (
        ("vic", user_ids["mia"], Forbidden),
        ("vic", MISSING_USER_ID, Forbidden),
        ("olga", MISSING_USER_ID, NotFound),
        ("olga", user_ids["gus"], NotFound),
        ("olga", user_ids["mia"], Invalid),
    ):
        actor = await actor_for(directory, user_ids[name])
        for verb in permissions.grant, permissions.revoke:
            with pytest.raises(expected):
                async with transaction(directory, actor) as tx:
                    await verb(tx, target, [CHANGE], problems=[problem])
    assert await rows(directory) == []


async def test_nobody_without_the_permission(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    """A refused function is refused for every id, the own included."""
    for name in "mia", "vic", "gus":
        actor = await actor_for(directory, user_ids[name])
        for target in (
            user_ids["mia"],
            user_ids["gus"],
            user_ids["olga"],
            user_ids["root"],
            MISSING_USER_ID,
        ):
            await assert_forbidden(grant(directory, actor, target, CHANGE), Reason.FUNCTION)
            await assert_forbidden(revoke(directory, actor, target, CHANGE), Reason.FUNCTION)
    await assert_forbidden(
        grant(directory, anonymous_actor(), user_ids["mia"], CHANGE), Reason.FUNCTION
    )
    assert await rows(directory) == []


async def test_a_member_with_the_permission_confers_what_it_holds_itself(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], ASSIGN, CHANGE)
    await grant(directory, SYSTEM_ACTOR, user_ids["vic"], DELETE)
    mia, vic = await actor_for(directory, user_ids["mia"]), user_ids["vic"]
    assert await grant(directory, mia, vic, CHANGE) == [CHANGE, DELETE]
    await assert_forbidden(grant(directory, mia, vic, CHANGE, VIEW), Reason.DELEGATION)
    await assert_forbidden(revoke(directory, mia, vic, DELETE), Reason.DELEGATION)
    await assert_forbidden(revoke(directory, mia, vic, CHANGE, DELETE), Reason.DELEGATION)
    await assert_forbidden(grant(directory, mia, user_ids["mia"], VIEW), Reason.DELEGATION)
    assert await revoke(directory, mia, vic, CHANGE) == [DELETE]
    with pytest.raises(NotFound):
        await grant(directory, mia, user_ids["gus"], CHANGE)


async def test_nobody_acts_on_a_higher_rank(directory: Directory, user_ids: dict[str, int]) -> None:
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], ASSIGN, CHANGE)
    mia = await actor_for(directory, user_ids["mia"])
    await assert_forbidden(grant(directory, mia, user_ids["olga"], CHANGE), Reason.RANK)
    await assert_forbidden(revoke(directory, mia, user_ids["otto"], CHANGE), Reason.RANK)
    ada = await actor_for(directory, user_ids["ada"])
    await assert_forbidden(grant(directory, ada, user_ids["root"], CHANGE), Reason.RANK)
    olga = await actor_for(directory, user_ids["olga"])
    assert await grant(directory, olga, user_ids["otto"], CHANGE) == [CHANGE]  # of equal rank
    assert await grant(directory, ada, user_ids["gus"], CHANGE) == [CHANGE]  # over all tenants


async def test_what_was_taken_back_meanwhile_confers_nothing(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    """The request came in with the permission; when its turn comes, the permission is gone."""
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], ASSIGN, CHANGE)
    mia = await actor_for(directory, user_ids["mia"])
    await revoke(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE)
    await assert_forbidden(grant(directory, mia, user_ids["vic"], CHANGE), Reason.DELEGATION)
    await revoke(directory, SYSTEM_ACTOR, user_ids["mia"], ASSIGN)
    await assert_forbidden(grant(directory, mia, user_ids["vic"]), Reason.FUNCTION)
    await assert_forbidden(revoke(directory, mia, user_ids["vic"]), Reason.FUNCTION)


async def test_it_takes_effect_at_the_next_request_and_ends_no_session(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    presented = await present_credential(directory, user_ids["mia"])
    for change, expected in (grant, {"users.change"}), (revoke, set()):
        await change(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE)
        actor = (await tokens.authenticate(directory, presented)).actor
        assert actor.permissions == expected


async def test_what_an_owner_was_granted_counts_when_it_is_none_any_more(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    await grant(directory, SYSTEM_ACTOR, user_ids["olga"], CHANGE)
    actor = await actor_for(directory, user_ids["olga"])
    assert actor.permissions == frozenset()  # by its role it holds all: nobody looks
    assert granted_reach(actor, Action.UPDATE_USER) is Reach.TENANT
    async with transaction(directory, SYSTEM_ACTOR) as tx:
        await users.assign_role(tx, user_ids["olga"], Role.VIEWER)
    actor = await actor_for(directory, user_ids["olga"])
    assert actor.permissions == {"users.change"}
    assert granted_reach(actor, Action.UPDATE_USER) is Reach.TENANT


async def test_two_grants_at_once_are_both_there(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    each = [
        grant(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE, number) for number in range(1, 9)
    ]
    await asyncio.gather(*each)
    found = await given.list_for_user(directory.read(SYSTEM_ACTOR), user_ids["mia"])
    assert [permission.id for permission in found] == list(range(1, 9))


async def test_a_deleted_user_holds_nothing(directory: Directory, user_ids: dict[str, int]) -> None:
    await grant(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE)
    async with transaction(directory) as tx:
        await users.delete(tx, user_ids["mia"], erase=False)
    assert await rows(directory) == []
    for verb in grant, revoke:
        with pytest.raises(NotFound):
            await verb(directory, SYSTEM_ACTOR, user_ids["mia"], CHANGE)


# --------------------------------------------------------------------------- pages


async def assign_permissions(
    directory: Directory, user_ids: dict[str, int]
) -> dict[str, UserGrants]:
    """Give mia, olga and gus something; returns what everybody holds."""
    found = {name: UserGrants() for name in user_ids}
    async with transaction(directory) as tx:
        acme = await tenant_of(directory, user_ids["mia"])
        made = [(await teams.create(tx, acme, name)).group.id for name in ("One", "Two")]
        for group_id in reversed(made):
            await teams.add_member(tx, group_id, user_ids["mia"])
        await permissions.grant(tx, user_ids["mia"], [DELETE, CHANGE])
        await permissions.grant(tx, user_ids["gus"], [VIEW])
        await permissions.grant(tx, user_ids["olga"], [CHANGE])
    return {
        **found,
        "mia": UserGrants(tuple(made), (CHANGE, DELETE)),
        "gus": UserGrants((), (VIEW,)),
        "olga": UserGrants((), (CHANGE,)),
    }


async def test_a_page_shows_what_the_reader_may_see(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    whole = await assign_permissions(directory, user_ids)
    people = [
        await user_lists.get(directory.read(SYSTEM_ACTOR), number) for number in user_ids.values()
    ]
    acme = {"olga", "otto", "mia", "vic", "idle"}
    for name, seen in (
        ("root", set(user_ids)),
        ("olga", acme),
        ("vic", {"vic"}),
        ("mia", {"mia"}),
        ("gus", {"gus"}),
    ):
        actor = await actor_for(directory, user_ids[name])
        found = await permissions.grants_by_user(directory.read(actor), people)
        expected = {user_ids[n]: h if n in seen else UserGrants() for n, h in whole.items()}
        assert found == expected, name
    found = await permissions.grants_by_user(directory.read(anonymous_actor()), people)
    assert set(found.values()) == {UserGrants()}
    assert await permissions.grants_by_user(directory.read(SYSTEM_ACTOR), []) == {}


async def test_a_page_costs_two_statements_at_most(
    monkeypatch: pytest.MonkeyPatch, seeded_database: tuple[str, World], user_ids: dict[str, int]
) -> None:
    """Counted where the drivers hand them over."""
    executed: list[str] = []
    connect_sqlite, connect_postgres = sqlite.connect, asyncpg.connect

    def listened(*args: Any, **kwargs: Any) -> Any:
        connection = connect_sqlite(*args, **kwargs)
        connection.set_trace_callback(executed.append)
        return connection

    async def logged(*args: Any, **kwargs: Any) -> Any:
        connection = await connect_postgres(*args, **kwargs)
        connection.add_query_logger(lambda record: executed.append(record.query))
        return connection

    monkeypatch.setattr(sqlite, "connect", listened)
    monkeypatch.setattr(asyncpg, "connect", logged)
    async with app.open_directory(settings_for(seeded_database[0])) as directory:
        whole = await assign_permissions(directory, user_ids)
        people = [
            await user_lists.get(directory.read(SYSTEM_ACTOR), number)
            for number in user_ids.values()
        ]
        await asyncio.sleep(0.02)
        executed.clear()
        found = await permissions.grants_by_user(directory.read(SYSTEM_ACTOR), people)
        await asyncio.sleep(0.02)
        assert found == {user_ids[name]: held for name, held in whole.items()}
        own = [each for each in executed if not each.lstrip().startswith("--")]
        assert 1 <= len(own) <= 2, own


async def test_codenames_are_what_a_request_would_be_given(
    directory: Directory, user_ids: dict[str, int]
) -> None:
    """Direct ones and those of groups; what the role brings is no codename."""
    async with transaction(directory) as tx:
        acme = await tenant_of(directory, user_ids["mia"])
        desk = await teams.create(tx, acme, "Desk", [VIEW, CHANGE])
        await teams.add_member(tx, desk.group.id, user_ids["mia"])
        await permissions.grant(tx, user_ids["mia"], [CHANGE, DELETE])
        inside = await given.codenames_for_user(tx, user_ids["mia"])
    actor = await actor_for(directory, user_ids["mia"])
    assert inside == actor.permissions == {"permissions.view", "users.change", "users.delete"}
    assert await given.codenames_for_user(directory.read(SYSTEM_ACTOR), user_ids["mia"]) == inside
    assert (
        await given.codenames_for_user(directory.read(SYSTEM_ACTOR), user_ids["olga"])
        == frozenset()
    )
    assert (await actor_for(directory, user_ids["olga"])).role is Role.OWNER
