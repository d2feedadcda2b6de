"""Changing one's own password: problems, failure counts, and changes in the same transaction."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.actions import sign_in, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import guess_limits, passwords
from dragoman.rules.actor import Actor
from dragoman.rules.errors import (
    BadCredentials,
    Forbidden,
    Invalid,
    Problem,
    RateLimited,
    Reason,
    Unauthenticated,
)
from dragoman.rules.model import User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import NONE, Action, Restrictions
from dragoman.store import users as rows
from tests.support.databases import query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    actor_for,
    anonymous_actor,
    make_user,
    problem_codes,
    transaction,
)

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "another-Kettle-43"


async def sign_in_as_mia(directory: Directory) -> None:
    await sign_in.sign_in(directory, anonymous_actor(), "mia", PASSWORD, CREDENTIAL_FORMAT)


class TestChangePassword:
    @pytest.fixture
    async def actor(self, directory: Directory, mia: User) -> Actor:
        """Mia, signed in."""
        return await actor_for(directory, mia.id)

    async def change(
        self, directory: Directory, actor: Actor, current: str = PASSWORD, password: str = NEW_PASSWORD,
        **more: object,
    ) -> None:  # fmt: skip
        await sign_in.change_password(directory, actor, current, password, PasswordRules(), **more)

    async def test_other_changes_are_made_in_the_same_transaction(
        self,
        directory: Directory,
        actor: Actor,
        mia: User,
        monkeypatch: pytest.MonkeyPatch,
    ):
        await make_user(directory, "olga", tenant_id=mia.tenant_id, email="olga@example.com")
        with pytest.raises(Invalid):
            await self.change(directory, actor, changes=UserChanges(email="olga@example.com"))
        await sign_in_as_mia(directory)  # the password is unchanged

        async def fail(*_: object, **__: object) -> None:
            raise Forbidden(Reason.REACH)

        with monkeypatch.context() as patch:
            patch.setattr(passwords, "store_password", fail)
            with pytest.raises(Forbidden):
                await self.change(directory, actor, changes=UserChanges(first_name="Maria"))
        user = await rows.find(directory.read(actor), mia.id)
        assert user is not None
        assert user.first_name != "Maria"

        await self.change(directory, actor, changes=UserChanges(first_name="Maria"))
        user = await rows.find(directory.read(actor), mia.id)
        assert user is not None
        assert user.first_name == "Maria"
        with pytest.raises(BadCredentials):
            await sign_in_as_mia(directory)

    async def test_what_the_contract_found_wrong_is_told_with_the_rest(
        self, directory: Directory, actor: Actor
    ):
        given = [Problem("password", "null")]
        for current, told in ((PASSWORD, []), ("wrong", [("current", "wrong")])):
            with pytest.raises(Invalid) as refused:
                await self.change(directory, actor, current, "", problems=given)
            assert problem_codes(refused) == [("password", "null"), *told]
        await sign_in_as_mia(directory)

    async def test_so_is_what_is_wrong_with_the_new_one(self, directory: Directory, actor: Actor):
        with pytest.raises(Invalid) as refused:
            await sign_in.change_password(
                directory, actor, PASSWORD, "short", PasswordRules(min_length=8),
                problems=[Problem("person", "null")],
            )  # fmt: skip
        assert problem_codes(refused) == [("person", "null"), ("password", "too_short")]

    async def test_a_guess_beyond_the_limit_costs_no_work(self, directory: Directory, actor: Actor):
        for _ in range(guess_limits.MAX_FAILURES_PER_ADDRESS):
            with pytest.raises(Invalid):
                await self.change(directory, actor, "wrong")
        done = directory.password_hasher.verifications
        for current in ("wrong", PASSWORD):
            with pytest.raises(RateLimited):
                await self.change(directory, actor, current)
        assert directory.password_hasher.verifications == done

    async def test_no_new_password_is_told_where_nothing_was_told_yet(
        self, directory: Directory, actor: Actor
    ):
        with pytest.raises(Invalid) as refused:
            await self.change(directory, actor, password="")
        assert problem_codes(refused) == [("password", "blank")]

    async def test_a_current_one_that_the_contract_refused_is_no_guess(
        self, directory: Directory, actor: Actor, database: str
    ):
        done = directory.password_hasher.verifications
        with pytest.raises(Invalid) as refused:
            await self.change(directory, actor, "", problems=[Problem("current", "blank")])
        assert problem_codes(refused) == [("current", "blank")]
        assert directory.password_hasher.verifications == done
        assert await query(database, "SELECT count(*) FROM failures") == [(0,)]

    async def test_a_right_one_is_no_failure_whatever_else_is_wrong(
        self, directory: Directory, actor: Actor, database: str
    ):
        with pytest.raises(Invalid):
            await self.change(directory, actor, problems=[Problem("person", "null")])
        assert await query(database, "SELECT count(*) FROM failures") == [(0,)]

    async def test_who_has_no_right_to_it_is_refused_before_anything_is_looked_at(
        self, directory: Directory, actor: Actor
    ):
        nobody = Restrictions(rows={Action.CHANGE_PASSWORD: (NONE, NONE, NONE, NONE, NONE)})
        done = directory.password_hasher.verifications
        for who in (anonymous_actor(), msgspec.structs.replace(actor, restrictions=nobody)):
            with pytest.raises(Forbidden) as refused:
                await self.change(directory, who)
            assert refused.value.reason is Reason.FUNCTION
        assert directory.password_hasher.verifications == done

    async def test_who_is_deleted_by_then_is_nobody(
        self, directory: Directory, actor: Actor, mia: User
    ):
        async with transaction(directory) as tx:
            await users.delete(tx, mia.id, erase=True)
        with pytest.raises(Unauthenticated) as refused:
            await self.change(directory, actor)
        assert refused.value.args == Unauthenticated("unknown").args
