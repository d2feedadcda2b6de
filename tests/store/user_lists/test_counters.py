"""Counters are exact after any changes, in any order, concurrent, and rolled back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import DirectoryError
from dragoman.rules.model import Filter, Order, Role, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.store.user_lists import counters, filters, pages
from tests.support.databases import query, settings_for
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    insert_users,
    make_tenant,
    make_user,
    open_directory,
    transaction,
)

T = TypeVar("T")
BY_NAME = (Order("username"),)


class LiveUser(msgspec.Struct, frozen=True):
    """The row of a user that is not deleted."""

    id: int
    tenant_id: int | None
    role: int
    active: bool
    approved: bool


async def live_users(database: str) -> list[LiveUser]:
    """Return the rows of all users that are not deleted, read past the application."""
    columns = "id, tenant_id, role, active, approved"
    found = await query(database, f"SELECT {columns} FROM users WHERE deleted_at IS NULL")
    return [
        LiveUser(number, tenant, role, bool(active), bool(approved))
        for number, tenant, role, active, approved in found
    ]


async def wrong_counts(directory: Directory, database: str, tenants: list[int]) -> list[str]:
    """Count every list from the rows; return the lists whose page has another count."""
    all_users = await live_users(database)
    read = directory.read(SYSTEM_ACTOR)
    scopes = [filters.Scope(Reach.ANY, None, 0), filters.Scope(Reach.NONE, None, 0)]
    scopes += [filters.Scope(Reach.TENANT, tenant, 0) for tenant in tenants]
    scopes += [filters.Scope(Reach.TENANT, tenant, 0, approved_only=True) for tenant in tenants]
    roles = [
        None,
        frozenset({Role.MEMBER}),
        frozenset({Role.OWNER, Role.VIEWER}),
        frozenset[Role](),
    ]
    wrong: list[str] = []
    for scope, role, tenant, active in itertools.product(
        scopes, roles, [None, *tenants, 987_654], [None, True, False]
    ):
        wanted = Filter(roles=role, tenant_id=tenant, active=active)
        page = await pages.page(read, directory.page_cache, scope, wanted, BY_NAME, limit=1)
        by_hand = sum(
            scope.reach is not Reach.NONE
            and (scope.reach is Reach.ANY or user.tenant_id == scope.tenant_id)
            and (user.approved or not scope.approved_only)
            and (role is None or user.role in role)
            and (tenant is None or user.tenant_id == tenant)
            and (active is None or user.active is active)
            for user in all_users
        )
        if page.count != by_hand:
            wrong.append(f"{scope} {wanted}: {page.count} instead of {by_hand}")
    return wrong


def make_state_machine(
    runner: asyncio.Runner, directory: Directory, database: str, tenants: list[int]
):
    """Return a state machine that changes the users of one database."""
    numbers = itertools.count()

    def run(work: Coroutine[Any, Any, T]) -> T | None:
        async def attempt() -> T | None:
            try:
                return await work
            except DirectoryError:
                return None

        return runner.run(attempt())

    class Users(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.people: list[int] = []

        @initialize(roles=st.lists(st.sampled_from(Role), min_size=4, max_size=8))
        def settle(self, roles: list[Role]):
            async def work() -> None:
                async with transaction(directory) as tx:
                    made = (
                        UserRow(
                            username=f"u{next(numbers)}",
                            role=role,
                            tenant_id=tenants[at % 2],
                            approved=at % 3 > 0,
                        )
                        for at, role in enumerate(roles)
                    )
                    self.people.extend(await insert_users(tx, made))

            run(work())

        def user_id_at(self, at: int) -> int:
            return self.people[at % len(self.people)]

        @rule(
            role=st.sampled_from(Role),
            tenant=st.sampled_from([None, *tenants]),
            active=st.booleans(),
        )
        def create(self, role: Role, tenant: int | None, active: bool):
            user = run(make_user(directory, f"u{next(numbers)}", role, tenant, active=active))
            if user is not None:
                self.people.append(user.id)

        @rule()
        def create_with_a_taken_name(self):
            assert run(make_user(directory, "ADMIN", tenant_id=tenants[0])) is None

        @rule(
            at=st.integers(0, 99), active=st.booleans() | st.none(), name=st.text("ab", max_size=2)
        )
        def update(self, at: int, active: bool | None, name: str):
            changes = UserChanges(first_name=name)
            if active is not None:
                changes.active = active

            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.update(tx, self.user_id_at(at), changes)

            run(work())

        @rule(at=st.integers(0, 99), active=st.booleans())
        def set_active(self, at: int, active: bool):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.set_active(tx, self.user_id_at(at), active=active)

            run(work())

        @rule(at=st.integers(0, 99), proven=st.booleans())
        def approve(self, at: int, proven: bool):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.approve(tx, self.user_id_at(at), proven=proven)

            run(work())

        @rule(at=st.integers(0, 99), role=st.sampled_from(Role))
        def assign_role(self, at: int, role: Role):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.assign_role(tx, self.user_id_at(at), role)

            run(work())

        @rule(at=st.integers(0, 99), erase=st.booleans())
        def delete(self, at: int, erase: bool):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.delete(tx, self.user_id_at(at), erase=erase)

            run(work())

        @rule(at=st.integers(0, 99), others=st.integers(0, 99))
        def two_changes_in_one_transaction(self, at: int, others: int):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.set_active(tx, self.user_id_at(at), active=False)
                    await users.assign_role(tx, self.user_id_at(others), Role.VIEWER)
                    await users.set_active(tx, self.user_id_at(at), active=True)

            run(work())

        @rule(at=st.integers(0, 99))
        def delete_and_roll_back(self, at: int):
            async def work() -> None:
                async with transaction(directory) as tx:
                    await users.delete(tx, self.user_id_at(at), erase=True)
                    raise DirectoryError

            run(work())

        @invariant()
        def the_counters_are_exact(self):
            read = directory.read(SYSTEM_ACTOR)
            assert runner.run(counters.differences(read)) == {}

        def teardown(self):
            assert runner.run(wrong_counts(directory, database, tenants)) == []

    return Users


def test_random_changes(database: str):
    with asyncio.Runner() as runner:
        context = open_directory(settings_for(database))
        directory = runner.run(context.__aenter__())
        tenants = [runner.run(make_tenant(directory, slug)) for slug in ("acme", "globex")]
        try:
            run_state_machine_as_test(
                make_state_machine(runner, directory, database, tenants),
                settings=settings(
                    max_examples=15,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.anyio
async def test_concurrent_changes(directory: Directory, database: str):
    home = await make_tenant(directory, "home")
    async with transaction(directory) as tx:
        ids = await insert_users(tx, (UserRow(username=f"u{n}", tenant_id=home) for n in range(24)))

    async def change(user_id: int) -> None:
        async with transaction(directory) as tx:
            match user_id % 4:
                case 0:
                    await users.delete(tx, user_id, erase=True)
                case 1:
                    await users.assign_role(tx, user_id, Role.OWNER)
                case 2:
                    await users.set_active(tx, user_id, active=False)
                case _:
                    await users.assign_role(tx, user_id, Role.VIEWER)
                    await users.set_active(tx, user_id, active=False)

    await asyncio.gather(*(change(user_id) for user_id in ids))
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
    assert await wrong_counts(directory, database, [home]) == []
    assert await counters.count_by_tenant(directory.read(SYSTEM_ACTOR), [home, 987_654]) == {
        home: 18
    }


@pytest.mark.anyio
async def test_a_recount_after_a_bulk_load(directory: Directory, database: str):
    async with transaction(directory) as tx:
        await insert_users(tx, (UserRow(username=f"u{n}", tenant_id=1) for n in range(5)))
        tx.counter_deltas.clear()
    read = directory.read(SYSTEM_ACTOR)
    member = int(Role.MEMBER)
    assert await counters.differences(read) == {
        (1, member, True, True): 5,
        (-1, member, True, True): 5,
    }
    async with transaction(directory) as tx:
        await counters.recount(tx)
    assert await counters.differences(read) == {}
    assert await wrong_counts(directory, database, [1]) == []


@pytest.mark.anyio
async def test_a_self_scope_counts_one_user(directory: Directory):
    async with transaction(directory) as tx:
        ids = await insert_users(tx, (UserRow(username=f"u{n}", tenant_id=1) for n in range(5)))
    scope = filters.Scope(Reach.SELF, 1, ids[2])
    page = await pages.page(
        directory.read(SYSTEM_ACTOR), directory.page_cache, scope, Filter(), BY_NAME, limit=10
    )
    assert [user.id for user in page.rows] == [ids[2]]
    assert page.count == 1


@pytest.mark.anyio
async def test_sign_ups_move_no_version_of_a_closed_list(directory: Directory) -> None:
    closed, open_ = (
        filters.Scope(Reach.TENANT, 1, 0, approved_only=flag) for flag in (True, False)
    )
    read = directory.read(SYSTEM_ACTOR)

    async def versions() -> list[tuple[int, int]]:
        counted = [await counters.count_list(read, each, Filter()) for each in (closed, open_)]
        return [each.version for each in counted]

    before = await versions()
    async with transaction(directory) as tx:
        row = UserRow(username="new", tenant_id=1, approved=False)
        (user_id,) = await insert_users(tx, [row])
    after = await versions()
    assert after[0] == before[0]
    assert after[1] != before[1]
    async with transaction(directory) as tx:
        await users.approve(tx, user_id)
    assert (await versions())[0] != before[0]
