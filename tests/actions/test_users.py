"""Actions on users, also when two of them run concurrently."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dragoman.actions import tenants, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.rules.actor import Actor
from dragoman.rules.errors import (
    DirectoryError,
    Forbidden,
    InUse,
    Invalid,
    LastOwner,
    LastSuperadmin,
    NotFound,
    Reason,
    Unauthenticated,
)
from dragoman.rules.model import NewUser, Role, TenantChanges, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import ANY, SELF, TENANT, Action, Restrictions
from dragoman.store import users as rows
from tests.support.databases import audit_rows, query
from tests.support.people import (
    PASSWORD,
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

Act = Callable[[Directory, Actor, int], Awaitable[Any]]
ROUNDS = 20


async def demote(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.assign_role(tx, user_id, Role.MEMBER)


async def demote_by_update(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.assign_role(tx, user_id, Role.ADMIN)


async def deactivate(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.set_active(tx, user_id, active=False)


async def deactivate_by_update(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.update(tx, user_id, UserChanges(active=False, first_name="Off"))


async def delete(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.delete(tx, user_id, erase=True)


async def delete_itself(directory: Directory, actor: Actor, _: int) -> None:
    await delete(directory, actor, actor.user_id)


async def outcome(work: Awaitable[Any]) -> str:
    """Return what came of it: ``done`` or the fact's name."""
    try:
        await work
    except DirectoryError as error:
        return type(error).__name__
    return "done"


async def pair(directory: Directory, role: Role, tenant_id: int | None, n: int) -> list[int]:
    made = [UserRow(username=f"{role.name}{n}{x}", role=role, tenant_id=tenant_id) for x in "ab"]
    async with transaction(directory) as tx:
        return await insert_users(tx, made)


def both_hit_same_user(first: Act, second: Act, said: list[str]) -> bool:
    """Say whether both acts were aimed at one of the two, and both reached it."""
    return [first, second].count(delete_itself) == 1 and said == ["done", "done"]


class TestLastOwner:
    async def test_two_owners_who_remove_each_other_at_once_leave_one(
        self, directory: Directory, database: str
    ):
        acts: list[Act] = [demote, deactivate, deactivate_by_update, delete, delete_itself]
        pairs = itertools.cycle(itertools.combinations_with_replacement(acts, 2))
        wrong: list[str] = []
        for n, (first, second) in zip(range(ROUNDS), pairs, strict=False):
            home = await make_tenant(directory, f"home{n}")
            a, b = await pair(directory, Role.OWNER, home, n)
            by_a, by_b = await actor_for(directory, a), await actor_for(directory, b)
            said = await asyncio.gather(
                outcome(first(directory, by_a, b)), outcome(second(directory, by_b, a))
            )
            left = await query(
                database,
                "SELECT 1 FROM users WHERE deleted_at IS NULL AND active "
                f"AND tenant_id = {home} AND role = {int(Role.OWNER)}",
            )
            acted = f"{first.__name__} and {second.__name__}: {said}, {len(left)} left"
            if len(left) != 1 or said.count("done") != 1 + both_hit_same_user(first, second, said):
                wrong.append(acted)
            if set(said) - {"done", "LastOwner", "Unauthenticated", "NotFound"}:
                wrong.append(acted)
        assert wrong == []

    @pytest.mark.parametrize("act", [deactivate, delete, demote, delete_itself])
    async def test_the_last_one_stays(self, directory: Directory, act: Act):
        home = await make_tenant(directory, "home")
        a, b = await pair(directory, Role.OWNER, home, 0)
        by_a, by_b = await actor_for(directory, a), await actor_for(directory, b)
        await delete(directory, by_a, b)
        with pytest.raises(Unauthenticated):
            await act(directory, by_b, a)
        oneself = LastOwner if act in {delete, delete_itself} else Forbidden
        with pytest.raises(oneself):  # nobody switches oneself off: judged first
            await act(directory, by_a, a)

    async def test_an_owner_who_is_switched_off_does_not_count(self, directory: Directory):
        home = await make_tenant(directory, "home")
        a, b = await pair(directory, Role.OWNER, home, 0)
        await deactivate(directory, SYSTEM_ACTOR, b)
        by_a = await actor_for(directory, a)
        with pytest.raises(LastOwner):
            await delete_itself(directory, by_a, a)
        await delete(directory, by_a, b)  # who is off can go

    async def test_an_owner_of_another_tenant_does_not_count(self, directory: Directory):
        home, away = await make_tenant(directory, "home"), await make_tenant(directory, "away")
        a, b = await pair(directory, Role.OWNER, home, 0)
        await pair(directory, Role.OWNER, away, 1)
        await delete(directory, await actor_for(directory, a), b)
        with pytest.raises(LastOwner):
            await delete_itself(directory, await actor_for(directory, a), a)

    async def test_administrators_may_where_they_act_as_such(self, directory: Directory):
        home = await directory.home_tenant_id()
        a, b = await pair(directory, Role.OWNER, home, 0)
        elsewhere = await actor_for(directory, 1, Restrictions(platform_roles_apply=False))
        await delete(directory, elsewhere, a)
        with pytest.raises(LastOwner):
            await delete(directory, elsewhere, b)
        await delete(directory, await actor_for(directory, 1), b)


class TestLastSuperadmin:
    async def test_two_who_remove_each_other_at_once_leave_one(
        self, directory: Directory, database: str
    ):
        acts: list[Act] = [
            demote_by_update,
            deactivate,
            deactivate_by_update,
            delete,
            delete_itself,
        ]
        pairs = itertools.cycle(itertools.combinations_with_replacement(acts, 2))
        wrong: list[str] = []
        a = 1
        for n, (first, second) in zip(range(ROUNDS), pairs, strict=False):
            async with transaction(directory) as tx:
                (b,) = await insert_users(tx, [UserRow(username=f"root{n}", role=Role.SUPERADMIN)])
            by_a, by_b = await actor_for(directory, a), await actor_for(directory, b)
            said = await asyncio.gather(
                outcome(first(directory, by_a, b)), outcome(second(directory, by_b, a))
            )
            left = await query(
                database,
                "SELECT id FROM users WHERE deleted_at IS NULL AND active AND role = 0",
            )
            acted = f"{first.__name__} and {second.__name__}: {said}, {len(left)} left"
            if len(left) != 1 or said.count("done") != 1 + both_hit_same_user(first, second, said):
                wrong.append(acted)
            if set(said) - {"done", "LastSuperadmin", "Unauthenticated", "NotFound"}:
                wrong.append(acted)
            a = left[0][0]
        assert wrong == []

    @pytest.mark.parametrize("act", [demote_by_update, deactivate, deactivate_by_update, delete])
    async def test_not_even_the_command_line_removes_the_last(self, directory: Directory, act: Act):
        with pytest.raises(LastSuperadmin):
            await act(directory, SYSTEM_ACTOR, 1)

    async def test_not_with_the_tenant_it_stands_in(self, directory: Directory):
        home = await make_tenant(directory, "home")
        await make_user(directory, "root", Role.SUPERADMIN, home)
        await delete(directory, SYSTEM_ACTOR, 1)
        with pytest.raises(LastSuperadmin):
            async with transaction(directory) as tx:
                await tenants.update(tx, home, TenantChanges(active=False), home_slug="main")


class TestNames:
    async def test_of_those_who_want_one_name_at_once_one_gets_it(
        self, directory: Directory, database: str
    ):
        home = await make_tenant(directory, "home")
        wishes = [
            {"username": "Zoë"},
            {"username": "ZOË"},
            {"username": "zoe1", "email": "zoë@example.com"},
            {"username": "zoe2", "email": "ZOË@EXAMPLE.COM"},
            {"username": "zoë@example.com"},
            {"username": "Zoe\u0308"},
        ]
        made = await asyncio.gather(
            *(make_user(directory, tenant_id=home, **wish) for wish in wishes),
            return_exceptions=True,
        )
        for refused in made:
            if isinstance(refused, BaseException):
                assert isinstance(refused, Invalid), refused
                assert [problem.code for problem in refused.problems] == ["taken"]
        rows_ = await query(database, "SELECT username_key, email_key FROM users WHERE id > 1")
        keys = [key for row in rows_ for key in set(row) if key]
        assert len(keys) == len(set(keys))
        assert sum(key == "zoë" for key in keys) == 1
        assert sum(key == "zoë@example.com" for key in keys) == 1

    async def test_of_two_who_change_to_one_name_at_once_one_gets_it(self, directory: Directory):
        for n in range(6):
            a, b = await pair(directory, Role.MEMBER, 1, n)

            async def rename(user_id: int, n: int = n) -> None:
                async with transaction(directory) as tx:
                    await users.update(tx, user_id, UserChanges(username=f"same{n}"))

            said = await asyncio.gather(outcome(rename(a)), outcome(rename(b)))
            assert sorted(said) == ["Invalid", "done"]

    async def test_two_who_swap_names_wait_for_each_other_and_neither_breaks(
        self, directory: Directory
    ):
        a, b = await pair(directory, Role.MEMBER, 1, 0)

        async def rename(user_id: int, name: str) -> None:
            async with transaction(directory) as tx:
                await users.update(tx, user_id, UserChanges(username=name))

        said = await asyncio.gather(outcome(rename(a, "MEMBER0b")), outcome(rename(b, "MEMBER0a")))
        assert set(said) <= {"done", "Invalid", "Unavailable"}, said

    async def test_the_own_name_in_other_letters_is_free_for_oneself(self, directory: Directory):
        user = await make_user(directory, "mia", tenant_id=1, email="mia@example.com")
        async with transaction(directory) as tx:
            changed = await users.update(
                tx, user.id, UserChanges(username="Mia", email="MIA@example.com")
            )
        assert (changed.username, changed.email) == ("Mia", "MIA@example.com")
        async with transaction(directory) as tx:
            await users.update(tx, user.id, UserChanges(username="mia@EXAMPLE.com"))
        with pytest.raises(Invalid):
            await make_user(directory, "mia@example.com", tenant_id=1)
        await make_user(directory, "mia", tenant_id=1)


class TestTenants:
    async def test_nobody_stands_in_a_tenant_that_is_deleted_meanwhile(
        self, directory: Directory, database: str
    ):
        for n in range(ROUNDS):
            home = await make_tenant(directory, f"home{n}")

            async def remove(home: int = home) -> None:
                async with transaction(directory) as tx:
                    await tenants.delete(tx, home, home_slug="main")

            said = await asyncio.gather(
                outcome(remove()), outcome(make_user(directory, f"u{n}", tenant_id=home))
            )
            assert sorted(said) in (["Invalid", "done"], [InUse.__name__, "done"]), said
        homeless = await query(
            database,
            "SELECT 1 FROM users JOIN tenants ON tenants.id = users.tenant_id "
            "WHERE tenants.deleted_at IS NOT NULL AND users.deleted_at IS NULL",
        )
        assert homeless == []

    async def test_a_tenant_role_needs_a_tenant(self, directory: Directory):
        root = await actor_for(directory, 1)
        with pytest.raises(Invalid) as refused:
            await users.create(
                directory,
                root,
                NewUser(username="lost", role=Role.OWNER),
                PASSWORD,
                PasswordRules(),
            )
        assert [problem.code for problem in refused.value.problems] == ["tenant_required"]

    async def test_an_owner_creates_in_the_own_tenant(self, directory: Directory):
        home, away = await make_tenant(directory, "home"), await make_tenant(directory, "away")
        a, _ = await pair(directory, Role.OWNER, home, 0)
        owner = await actor_for(directory, a)
        made = await users.create(
            directory, owner, NewUser(username="new"), PASSWORD, PasswordRules()
        )
        assert made.tenant_id == home
        for place in (away, 987_654_321):  # whether it exists is not told
            new = NewUser(username="other", tenant_id=place)
            with pytest.raises(Invalid) as refused:
                await users.create(directory, owner, new, PASSWORD, PasswordRules())
            assert [problem.code for problem in refused.value.problems] == ["foreign_tenant"]


class TestCheckOrder:
    async def test_an_act_of_somebody_who_was_demoted_meanwhile_is_refused(
        self, directory: Directory
    ):
        home = await make_tenant(directory, "home")
        a, b = await pair(directory, Role.OWNER, home, 0)
        by_b = await actor_for(directory, b)
        await demote(directory, await actor_for(directory, a), b)
        with pytest.raises(Unauthenticated):
            await users.set_password(directory, by_b, a, "another-Kettle-43", PasswordRules())
        new = NewUser(username="new")
        with pytest.raises(Unauthenticated):
            await users.create(directory, by_b, new, PASSWORD, PasswordRules())

    async def test_setting_the_password_of_somebody_who_goes_meanwhile(self, directory: Directory):
        user = await make_user(directory, "gone", tenant_id=1)
        setting = asyncio.create_task(
            users.set_password(
                directory, SYSTEM_ACTOR, user.id, "another-Kettle-43", PasswordRules()
            )
        )
        await asyncio.sleep(0)
        await delete(directory, SYSTEM_ACTOR, user.id)
        assert await outcome(setting) in {"NotFound", "done"}

    async def test_nobody_sets_the_own_password_that_way(self, directory: Directory):
        root = await actor_for(directory, 1)
        with pytest.raises(Forbidden) as refused:
            await users.set_password(directory, root, 1, "another-Kettle-43", PasswordRules())
        assert refused.value.reason is Reason.OWN_ACCOUNT

    async def test_a_narrowed_actor_finds_others_not(self, directory: Directory):
        user = await make_user(directory, "mia", tenant_id=1)
        other = await make_user(directory, "max", tenant_id=1)
        rows_ = {Action.VIEW_USER: (ANY, ANY, TENANT, SELF, SELF)}
        mia = await actor_for(directory, user.id, Restrictions(rows=rows_))
        with pytest.raises(NotFound) as hidden:
            await user_lists.get(directory.read(mia), other.id)
        with pytest.raises(NotFound) as absent:
            await user_lists.get(directory.read(mia), 987_654_321)
        assert str(hidden.value) == str(absent.value)
        assert (await user_lists.get(directory.read(mia), user.id)).username == "mia"


class TestHistory:
    async def test_every_change_writes_one_row_and_says_who(
        self, directory: Directory, database: str
    ):
        root = await actor_for(directory, 1)
        before = (await audit_rows(database))[-1].id
        new = NewUser(username="mia", email="mia@example.com", tenant_id=1, first_name="Mia")
        mia = await users.create(directory, root, new, PASSWORD, PasswordRules())
        async with directory.begin(root) as tx:
            await users.update(tx, mia.id, UserChanges(bio="b", last_name="Marsh"))
        async with directory.begin(root) as tx:
            await users.assign_role(tx, mia.id, Role.OWNER)
        await users.set_password(directory, root, mia.id, "another-Kettle-43", PasswordRules())
        async with directory.begin(root) as tx:
            await users.set_active(tx, mia.id, active=False)
        async with directory.begin(root) as tx:
            await users.delete(tx, mia.id, erase=True)
        rows_ = await audit_rows(database, before)
        assert [(row.action, row.fields) for row in rows_] == [
            ("users.create", "active email first_name role tenant_id username"),
            ("users.update", "bio last_name"),
            ("users.assign_role", "role"),
            ("users.set_password", "password"),
            ("users.set_active", "active"),
            ("users.delete", ""),
        ]
        assert {(row.actor_kind, row.actor_id, row.contract) for row in rows_} == {
            ("user", 1, "tests")
        }
        assert {row.target_id for row in rows_} == {mia.id}

    async def test_what_was_refused_or_changed_nothing_writes_none(
        self, directory: Directory, database: str
    ):
        home = await make_tenant(directory, "home")
        a, b = await pair(directory, Role.OWNER, home, 0)
        by_a = await actor_for(directory, a)
        before = (await audit_rows(database))[-1].id
        (stamp,) = await query(database, f"SELECT updated_at FROM users WHERE id = {b}")
        async with directory.begin(by_a) as tx:
            await users.update(tx, b, UserChanges(username="OWNER0b", first_name=" "))
        async with directory.begin(by_a) as tx:
            await users.set_active(tx, b, active=True)
        async with directory.begin(by_a) as tx:
            await users.assign_role(tx, b, Role.OWNER)
        for act in (demote_by_update, delete):
            await outcome(act(directory, by_a, 1))
        await outcome(demote(directory, by_a, a))
        await outcome(update_bad(directory, by_a, b))
        assert await audit_rows(database, before) == []
        assert await query(database, f"SELECT updated_at FROM users WHERE id = {b}") == [stamp]

    async def test_a_machine_is_somebody_too(self, directory: Directory, database: str):
        user = await make_user(directory, "mia", tenant_id=1)
        (row,) = await query(
            database,
            f"SELECT actor_kind, actor_name, actor_id FROM audit WHERE target_id = {user.id}"
            " AND action = 'users.create'",
        )
        assert row == ("system", "tests", 0)

    async def test_values_stay_out_of_it(self, directory: Directory, database: str):
        user = await make_user(directory, "mia", tenant_id=1, email="mia@example.com")
        async with transaction(directory) as tx:
            await users.update(tx, user.id, UserChanges(email="other@example.com", bio="secret"))
        await users.set_password(
            directory, SYSTEM_ACTOR, user.id, "another-Kettle-43", PasswordRules()
        )
        for row in await query(database, "SELECT * FROM audit"):
            text = " ".join(str(value) for value in row)
            for value in ("mia@", "other@", "secret", "Kettle", "argon2"):
                assert value not in text


async def update_bad(directory: Directory, actor: Actor, user_id: int) -> None:
    async with directory.begin(actor) as tx:
        await users.update(tx, user_id, UserChanges(email="no address", first_name="New"))


class TestUpdate:
    async def test_all_or_nothing(self, directory: Directory):
        user = await make_user(directory, "mia", tenant_id=1, email="mia@example.com")
        changes = UserChanges(first_name="New", email="admin@localhost", url="ftp://x")
        with pytest.raises(Invalid) as refused:
            async with transaction(directory) as tx:
                await users.update(tx, user.id, changes)
        assert {(p.field, p.code) for p in refused.value.problems} == {
            ("email", "taken"),
            ("url", "url"),
        }
        assert await rows.find(directory.read(SYSTEM_ACTOR), user.id) == user

    async def test_the_own_state_changes_neither_that_way_nor_with_anything_else(
        self, directory: Directory
    ):
        root = await actor_for(directory, 1)
        with pytest.raises(Forbidden) as refused:
            async with directory.begin(root) as tx:
                await users.update(tx, 1, UserChanges(active=False, first_name="New"))
        assert refused.value.reason is Reason.OWN_ACCOUNT
        async with directory.begin(root) as tx:
            same = await users.update(tx, 1, UserChanges(active=True, first_name="New"))
        assert same.first_name == "New"

    async def test_a_display_name_that_was_not_given_follows_the_names(self, directory: Directory):
        user = await make_user(directory, "mia", tenant_id=1, first_name="Mia", last_name="Marsh")
        assert user.display_name == "Mia Marsh"
        async with transaction(directory) as tx:
            user = await users.update(tx, user.id, UserChanges(last_name="Moor"))
        assert user.display_name == "Mia Moor"
