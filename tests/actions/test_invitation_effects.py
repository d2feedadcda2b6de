"""Invitations: the rows that each action writes, and which of several errors is reported."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman import app
from dragoman.actions import invitations, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Reason,
    Taken,
    Unauthenticated,
)
from dragoman.rules.model import Invitation, NewUser, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import Restrictions
from dragoman.settings import Settings
from dragoman.store import grants
from tests.support.databases import audit_rows, query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    make_tenant,
    make_user,
    problem_codes,
    transaction,
)

pytestmark = pytest.mark.anyio

EMAIL = "Nora@Example.com"
RESTRICTIONS = Restrictions()
MANAGE = 9
"""The id of the permission ``invitations.manage`` in the catalogue."""
SHORT_WAIT_S = 0.3
"""Seconds that let a concurrent task reach the locked row."""
VISITOR = Actor(kind="visitor", contract="tests", restrictions=RESTRICTIONS, address="192.0.2.1")


@pytest.fixture
async def olga(directory: Directory) -> Actor:
    """An owner, as actor."""
    home = await make_tenant(directory, "home")
    olga = await make_user(directory, "olga", Role.OWNER, home)
    return await actor_for(directory, olga.id, RESTRICTIONS)


async def invite(directory: Directory, actor: Actor, email: str = EMAIL, **more: Any) -> Invitation:
    given = {"name": "Nora van Dyck", "role": Role.MEMBER, **more}
    async with transaction(directory, actor) as tx:
        return await invitations.invite(tx, email=email, **given)


async def accept(
    directory: Directory, made: Invitation, password: str = PASSWORD, name: str = "", **more: Any
) -> tuple[User, Credential]:
    secret = open_invitations.link_secret(directory, made)
    return await invitations.accept(
        directory, VISITOR, secret, password, name, PasswordRules(), CREDENTIAL_FORMAT, **more
    )


class TestEffects:
    async def test_every_act_says_who_did_it_to_what_and_where(
        self, directory: Directory, olga: Actor, database: str
    ):
        before = (await audit_rows(database))[-1].id
        made = await invite(directory, olga)
        async with transaction(directory, olga) as tx:
            await invitations.resend(tx, made.public_id)
        async with transaction(directory, olga) as tx:
            await invitations.revoke(tx, made.public_id)
        again = await invite(directory, olga)
        user, _ = await accept(directory, again)
        written = (
            "SELECT action, actor_id, target_kind, target_id, tenant_id"
            f" FROM audit WHERE id > {before} ORDER BY id"
        )
        mine, offer, home = olga.user_id, "invitation", olga.tenant_id
        assert await query(database, written) == [
            ("invitations.send", mine, offer, made.id, home),
            ("invitations.resend", mine, offer, made.id, home),
            ("invitations.revoke", mine, offer, made.id, home),
            ("invitations.send", mine, offer, again.id, home),
            ("invitations.accept", 0, "user", user.id, home),
            ("invitations.accept", 0, offer, again.id, home),
        ]

    async def test_access_is_the_inviters_gift(
        self, directory: Directory, olga: Actor, database: str
    ):
        user, _ = await accept(directory, await invite(directory, olga, resources=("thing",)))
        found = await query(database, "SELECT user_id, resource, level, granted_by FROM access")
        assert found == [(user.id, "thing", "full", olga.user_id)]

    async def test_who_accepts_has_signed_in_from_there(
        self, directory: Directory, olga: Actor, database: str
    ):
        user, _ = await accept(directory, await invite(directory, olga))
        seen = f"SELECT last_login_at FROM users WHERE id = {user.id}"
        ((last,),) = await query(database, seen)
        assert last > 0
        assert await query(database, "SELECT user_id FROM addresses") == [(user.id,)]


class TestReportedProblems:
    async def test_what_the_contract_told_of_a_field_is_not_told_again(
        self, directory: Directory, olga: Actor
    ):
        for field, more in (("email", {"email": "no address"}), ("name", {"name": "a\x00b"})):
            with pytest.raises(Invalid) as refused:
                await invite(directory, olga, problems=[Problem(field, "null")], **more)
            assert problem_codes(refused) == [(field, "null")]

    async def test_a_name_is_told_once_whatever_is_wrong_with_its_parts(
        self, directory: Directory, olga: Actor
    ):
        made = await invite(directory, olga)
        for name in ("n" * 302, "n" * 151, "n " + "m" * 151, "a\x00 b\x00"):
            with pytest.raises(Invalid) as refused:
                await invite(directory, olga, "other@example.com", name=name)
            assert [field for field, _ in problem_codes(refused)] == ["name"]
            with pytest.raises(Invalid) as refused:
                await accept(directory, made, name=name)
            assert [field for field, _ in problem_codes(refused)] == ["name"]

    async def test_the_longest_name_there_is(self, directory: Directory, olga: Actor):
        name = "n" * 150 + " " + "m" * 150
        user, _ = await accept(directory, await invite(directory, olga, name=name))
        assert (user.display_name, user.first_name, user.last_name) == (
            name, "n" * 150, "m" * 150,
        )  # fmt: skip

    async def test_a_name_is_split_where_its_first_part_ends(
        self, directory: Directory, olga: Actor
    ):
        made = await invite(directory, olga, name="  Nora   van Dyck ")
        assert made.name == "Nora   van Dyck"
        user, _ = await accept(directory, made)
        assert (user.first_name, user.last_name) == ("Nora", "van Dyck")
        assert user.display_name == made.name, "as it was written"

    async def test_an_address_may_have_what_a_username_may_not(
        self, directory: Directory, olga: Actor
    ):
        user, _ = await accept(directory, await invite(directory, olga, "o'brien@example.com"))
        assert user.username == user.email == "o'brien@example.com"

    async def test_whoever_can_mend_something_is_told_that_and_not_of_the_address(
        self, directory: Directory, olga: Actor
    ):
        made = await invite(directory, olga)
        new = NewUser(username="nora", email=EMAIL, tenant_id=olga.tenant_id)
        await users.create(directory, SYSTEM_ACTOR, new, PASSWORD, PasswordRules())
        with pytest.raises(Invalid) as refused:
            await accept(directory, made, password="")
        assert problem_codes(refused) == [("password", "blank")]
        with pytest.raises(Taken) as taken:
            await accept(directory, made)
        assert taken.value.field == "email"

    async def test_who_may_not_is_told_nothing_else(self, directory: Directory, olga: Actor):
        mia = await make_user(directory, "mia", tenant_id=olga.tenant_id)
        member = await actor_for(directory, mia.id, RESTRICTIONS)
        for problems in ([], [Problem("email", "null")]):
            with pytest.raises(Forbidden) as refused:
                await invite(directory, member, "", role=Role.SUPERADMIN, problems=problems)
            assert refused.value.reason is Reason.FUNCTION
        with pytest.raises(Forbidden):
            await invitations.list_page(directory.read(member), limit=1, offset=0)


class TestResendTakesResponsibility:
    """Whoever sends an invitation again stands behind it from then on."""

    async def test_for_access_only_who_holds_it(
        self, directory: Directory, olga: Actor, database: str
    ):
        made = await invite(directory, olga, resources=("thing",))
        mia = await make_user(directory, "mia", tenant_id=olga.tenant_id)
        async with transaction(directory) as tx:
            await grants.add(tx, mia.id, [MANAGE])
        member = await actor_for(directory, mia.id, RESTRICTIONS)
        with pytest.raises(Forbidden) as refused:
            async with transaction(directory, member) as tx:
                await invitations.resend(tx, made.public_id)
        assert refused.value.reason is Reason.DELEGATION
        assert await query(database, "SELECT inviter_id FROM invitations") == [(olga.user_id,)]
        await accept(directory, made)  # the link of before

    async def test_not_who_is_just_being_switched_off(self, directory: Directory, olga: Actor):
        otto = await make_user(directory, "otto", Role.OWNER, olga.tenant_id)
        made = await invite(directory, await actor_for(directory, otto.id, RESTRICTIONS))

        async def again() -> Invitation | None:
            with contextlib.suppress(Unauthenticated, NotFound):
                async with transaction(directory, olga) as tx:
                    return await invitations.resend(tx, made.public_id)
            return None

        async with transaction(directory) as tx:
            await users.set_active(tx, olga.user_id, active=False)
            sending = asyncio.create_task(again())
            await asyncio.sleep(SHORT_WAIT_S)
        sent = await sending
        async with transaction(directory) as tx:
            await users.set_active(tx, olga.user_id, active=True)
        if sent is not None:
            with pytest.raises(NotFound):
                await accept(directory, sent)

    async def test_no_machine(self, directory: Directory, olga: Actor):
        made = await invite(directory, olga)
        with pytest.raises(NotFound):
            async with transaction(directory, SYSTEM_ACTOR) as tx:
                await invitations.resend(tx, made.public_id)
        await accept(directory, made)


class TestMails:
    async def test_it_goes_to_the_invited_and_to_no_user(
        self, directory: Directory, olga: Actor, database: str
    ):
        made = await invite(directory, olga)
        ((kind, user_id, recipient, payload),) = await query(
            database, "SELECT kind, user_id, recipient, payload FROM outbox"
        )
        assert (kind, user_id, recipient) == ("invitation", None, EMAIL)
        assert made.public_id in payload
        assert open_invitations.link_secret(directory, made)[17:] not in payload


class TestInviterGone:
    async def test_of_two_with_one_link_the_slower_is_told_that_it_is_used(
        self, directory: Directory, olga: Actor, settings: Settings
    ):
        """And not that the address is taken: that would tell who came by it."""
        made = await invite(directory, olga)

        async def enter() -> None:
            async with app.open_directory(settings) as elsewhere:
                await accept(elsewhere, made)

        def faster() -> Iterator[Problem]:
            """Find nothing wrong; but somebody enters while it is looked for."""
            rival = threading.Thread(target=lambda: asyncio.run(enter()))
            rival.start()
            rival.join(60)
            yield from ()

        with pytest.raises(NotFound):
            await accept(directory, made, problems=faster())

    async def test_who_is_gone_since_it_was_asked_who_it_is_offers_nothing(
        self, directory: Directory, olga: Actor, database: str
    ):
        otto = await make_user(directory, "otto", Role.OWNER, olga.tenant_id)
        made = await invite(directory, await actor_for(directory, otto.id, RESTRICTIONS))
        async with transaction(directory) as tx:
            await users.delete(tx, olga.user_id, erase=False)
        with pytest.raises(Unauthenticated):
            await invite(directory, olga, "other@example.com")
        with pytest.raises(Unauthenticated):
            async with transaction(directory, olga) as tx:
                await invitations.resend(tx, made.public_id)
        found = await query(database, "SELECT inviter_id, email FROM invitations")
        assert found == [(otto.id, EMAIL)]
