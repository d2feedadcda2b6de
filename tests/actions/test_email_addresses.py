"""Whose an e-mail address is: claims give way, links prove, and a change can be undone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from dragoman import app
from dragoman.actions import email_addresses, invitations, password_resets, sign_in, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import mails
from dragoman.jobs import mail_delivery
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential
from dragoman.rules.errors import BadCredentials, Inactive, Invalid, InvalidLink, RateLimited, Taken
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser, Role, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.rates import Rate
from dragoman.rules.vocabulary import Restrictions
from dragoman.settings import Settings
from dragoman.store import outbox
from dragoman.store import users as rows
from tests.support.databases import query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_user,
    problem_codes,
    transaction,
)

pytestmark = pytest.mark.anyio

VISITOR = anonymous_actor()
CEO, OTHER = "ceo@corp.example", "thief@evil.example"
LINK = re.compile(r"/(verify|password|undo)/(\S+)|/reset/(\w+)/(\S+)")


async def home_id(directory: Directory) -> int:
    return await directory.home_tenant_id()


async def sign_up(
    directory: Directory, username: str, email: str = "", actor: Actor = VISITOR
) -> tuple[User, Credential]:
    new = NewUser(username=username, email=email)
    return await sign_in.sign_up(
        directory, actor, new, PASSWORD, PasswordRules(), CREDENTIAL_FORMAT,
        charset=UsernameCharset.PERMISSIVE,
    )  # fmt: skip


async def create(directory: Directory, username: str, email: str = "") -> User:
    return await make_user(directory, username, tenant_id=await home_id(directory), email=email)


async def change(directory: Directory, actor: Actor, user_id: int, **changes: str) -> User:
    async with directory.begin(actor) as tx:
        return await users.update(
            tx, user_id, UserChanges(**changes), charset=UsernameCharset.PERMISSIVE
        )


async def current(directory: Directory, user_id: int) -> User:
    found = await rows.find(directory.read(SYSTEM_ACTOR), user_id)
    assert found is not None
    return found


async def waiting(directory: Directory, address: str) -> dict[str, str]:
    """The texts of the mails to an address that wait, by kind; the latest of each."""
    texts: dict[str, str] = {}
    for message in reversed(await outbox.list_latest(directory.read(SYSTEM_ACTOR))):
        if message.recipient == address:
            texts[message.kind] = await mail_delivery.preview(directory, message) or ""
    return texts


async def secret(directory: Directory, address: str, kind: str) -> str:
    found = LINK.search((await waiting(directory, address))[kind])
    assert found is not None
    return found[2]


async def prove(directory: Directory, address: str) -> User:
    return await email_addresses.verify(
        directory, VISITOR, await secret(directory, address, "verify")
    )


async def can_sign_in(directory: Directory, name: str, password: str = PASSWORD) -> bool:
    try:
        await sign_in.sign_in(directory, VISITOR, name, password, CREDENTIAL_FORMAT)
    except BadCredentials:
        return False
    return True


@pytest.fixture
async def inviter(directory: Directory) -> Actor:
    home = await home_id(directory)
    olga = await make_user(directory, "olga", Role.OWNER, home, email="olga@corp.example")
    return await actor_for(directory, olga.id)


async def with_settings(settings: Settings, **changes: object) -> AsyncIterator[Directory]:
    async with app.open_directory(msgspec.structs.replace(settings, **changes)) as directory:
        yield directory


class TestClaims:
    async def test_creation_takes_a_claimed_address_over(
        self, directory: Directory, settings: Settings
    ):
        claimant, _ = await sign_up(directory, CEO)
        actor = await actor_for(directory, claimant.id)
        link = await secret(directory, CEO, "verify")
        ceo = await create(directory, "boss", CEO.upper())
        assert (ceo.verified, ceo.email_assigned) == (True, True)
        left = await current(directory, claimant.id)
        assert (left.email, left.username) == ("", claimant.public_id)
        assert left.active
        assert await can_sign_in(directory, claimant.public_id)
        async with directory.begin(actor) as tx:
            assert await rows.is_still_valid(tx, actor)
        with pytest.raises(InvalidLink):
            await email_addresses.verify(directory, VISITOR, link)
        assert "never confirmed" in (await waiting(directory, CEO))["released"]
        assert await query(
            settings.database,
            "SELECT target_id, fields FROM audit WHERE action = 'users.release_email'",
        ) == [(claimant.id, "email username")]

    async def test_a_username_of_its_own_stays(self, directory: Directory):
        claimant, _ = await sign_up(directory, "squatter", CEO)
        await create(directory, CEO, "other@corp.example")
        left = await current(directory, claimant.id)
        assert (left.username, left.email) == ("squatter", "")

    async def test_a_proven_or_assigned_address_stays(self, directory: Directory):
        first, _ = await sign_up(directory, "first", CEO)
        await prove(directory, CEO)
        await create(directory, "second", "second@corp.example")
        for address in (CEO, "second@corp.example"):
            with pytest.raises(Invalid) as raised:
                await create(directory, "third", address)
            assert problem_codes(raised) == [("email", "taken")]
        assert (await current(directory, first.id)).email == CEO

    async def test_of_two_sign_ups_the_second_is_refused(self, directory: Directory):
        await sign_up(directory, "first", CEO)
        with pytest.raises(Invalid) as raised:
            await sign_up(directory, "second", CEO)
        assert problem_codes(raised) == [("email", "taken")]

    async def test_acceptance_takes_over_and_sending_does_not(
        self, directory: Directory, inviter: Actor
    ):
        claimant, _ = await sign_up(directory, "squatter", CEO)
        async with directory.begin(inviter) as tx:
            await invitations.invite(tx, email=CEO, name="", role=Role.MEMBER)
        assert (await current(directory, claimant.id)).email == CEO
        text = (await waiting(directory, CEO))["invitation"]
        found = re.search(r"/accept/(\S+)", text)
        assert found is not None
        closed = msgspec.structs.replace(VISITOR, restrictions=Restrictions(approved_only=True))
        user, _ = await invitations.accept(
            directory, closed, found[1], PASSWORD, "", PasswordRules(), CREDENTIAL_FORMAT
        )
        assert (user.email, user.verified) == (CEO, True)
        assert (await current(directory, claimant.id)).email == ""

    async def test_a_claimant_who_leaves_ends_no_invitation(
        self, directory: Directory, inviter: Actor
    ):
        async with directory.begin(inviter) as tx:
            await invitations.invite(tx, email=CEO, name="", role=Role.MEMBER)
        claimant, _ = await sign_up(directory, "squatter", CEO)
        async with transaction(directory) as tx:
            await users.delete(tx, claimant.id, erase=True)
        assert "/accept/" in (await waiting(directory, CEO))["invitation"]

    async def test_only_somebody_else_may_change_to_a_claimed_address(self, directory: Directory):
        claimant, _ = await sign_up(directory, "squatter", CEO)
        boss = await create(directory, "boss", "boss@corp.example")
        with pytest.raises(Invalid) as raised:
            await change(directory, await actor_for(directory, boss.id), boss.id, email=CEO)
        assert problem_codes(raised) == [("email", "taken")]
        changed = await change(directory, SYSTEM_ACTOR, boss.id, email=CEO)
        assert (changed.email, changed.verified, changed.email_assigned) == (CEO, True, True)
        assert (await current(directory, claimant.id)).email == ""
        assert "undo" not in await waiting(directory, "boss@corp.example")

    async def test_whoever_creates_wins_a_race_with_sign_ups(
        self, directory: Directory, settings: Settings
    ):
        for number in range(4):
            address = f"race{number}@corp.example"
            results = await asyncio.gather(
                sign_up(directory, f"a{number}", address),
                create(directory, f"b{number}", address),
                sign_up(directory, f"c{number}", address),
                create(directory, f"d{number}", address),
                return_exceptions=True,
            )
            made = [each for each in results if isinstance(each, User)]
            assert len(made) == 1, results
            assert all(isinstance(each, User | tuple | Invalid) for each in results), results
            holders = f"SELECT id FROM users WHERE email = '{address}' AND deleted_at IS NULL"
            assert await query(settings.database, holders) == [(made[0].id,)]


class TestOwnNames:
    async def test_a_username_that_is_an_address_becomes_the_unproven_address(
        self, directory: Directory
    ):
        user, _ = await sign_up(directory, "Cto@Corp.example")
        assert (user.email, user.verified, user.email_assigned) == (
            "Cto@Corp.example",
            False,
            False,
        )
        assert "verify" in await waiting(directory, "Cto@Corp.example")

    @pytest.mark.parametrize("username", [CEO, "ceo\uff20corp.example", "CEO@CORP.EXAMPLE"])
    async def test_it_is_nobody_elses(self, directory: Directory, username: str):
        with pytest.raises(Invalid) as raised:
            await sign_up(directory, username, OTHER)
        assert problem_codes(raised) == [("username", "not_own_email")]
        me = await create(directory, "me", "me@corp.example")
        with pytest.raises(Invalid) as raised:
            await change(directory, await actor_for(directory, me.id), me.id, username=username)
        assert problem_codes(raised) == [("username", "not_own_email")]

    async def test_what_is_no_address_or_ones_own_is_free(self, directory: Directory):
        await sign_up(directory, "@home", OTHER)
        await sign_up(directory, CEO.upper(), CEO)
        me = await create(directory, "me")
        changed = await change(
            directory, await actor_for(directory, me.id), me.id, username="me@corp.example"
        )
        assert (changed.email, changed.verified) == ("me@corp.example", False)

    async def test_it_is_not_kept_without_the_address(self, directory: Directory):
        user, _ = await sign_up(directory, CEO)
        actor = await actor_for(directory, user.id)
        with pytest.raises(Invalid) as raised:
            await change(directory, actor, user.id, email="")
        assert problem_codes(raised) == [("username", "not_own_email")]
        assert (await change(directory, actor, user.id, email=OTHER)).username == OTHER

    async def test_administrators_may_set_any_free_name(self, directory: Directory):
        me = await create(directory, "me", "me@corp.example")
        assert (await change(directory, SYSTEM_ACTOR, me.id, username=CEO)).username == CEO


class TestVerification:
    async def test_the_link_proves_the_address_once(self, directory: Directory, settings: Settings):
        user, _ = await sign_up(directory, "me", CEO)
        link = await secret(directory, CEO, "verify")
        assert (await email_addresses.get_unproven(directory, VISITOR, link)).id == user.id
        assert not (await current(directory, user.id)).verified
        await email_addresses.verify(directory, VISITOR, link)
        assert (await current(directory, user.id)).verified
        for wrong in (link, link[:-1], link[:17], "", "x" * 99, link.replace(link[20], "\0")):
            with pytest.raises(InvalidLink):
                await email_addresses.verify(directory, VISITOR, wrong)
        assert await query(
            settings.database, "SELECT count(*) FROM audit WHERE action = 'users.verify_email'"
        ) == [(1,)]

    async def test_it_outlives_a_new_password_but_no_new_address(self, directory: Directory):
        user, _ = await sign_up(directory, "me", CEO)
        link = await secret(directory, CEO, "verify")
        await users.set_password(
            directory, SYSTEM_ACTOR, user.id, "new-Password-9", PasswordRules()
        )
        assert (await email_addresses.get_unproven(directory, VISITOR, link)).id == user.id
        await change(directory, await actor_for(directory, user.id), user.id, email=OTHER)
        with pytest.raises(InvalidLink):
            await email_addresses.verify(directory, VISITOR, link)
        assert "undo" not in await waiting(directory, CEO), "it was not proven"

    async def test_off_sends_nothing(self, settings: Settings):
        async for directory in with_settings(settings, verify_email="off"):
            await sign_up(directory, "me", CEO)
            await email_addresses.resend_verification(directory, VISITOR, CEO)
            assert await waiting(directory, CEO) == {}

    async def test_required_gives_no_credential_before_the_proof(self, settings: Settings):
        async for directory in with_settings(settings, verify_email="required"):
            with pytest.raises(Invalid) as raised:
                await sign_up(directory, "nobody")
            assert problem_codes(raised) == [("email", "required")]
            user, credential = await sign_up(directory, "me", CEO)
            assert credential.secret == ""
            first = await secret(directory, CEO, "verify")
            assert not await can_sign_in(directory, "me", "wrong")
            assert await secret(directory, CEO, "verify") == first
            assert not await can_sign_in(directory, "me")
            assert await secret(directory, CEO, "verify") != first
            await prove(directory, CEO)
            assert await can_sign_in(directory, "me")
            assert (await current(directory, user.id)).verified
            await create(directory, "created", "created@corp.example")
            assert await can_sign_in(directory, "created")

    async def test_a_reset_by_mail_gives_the_account_to_the_mailbox(self, directory: Directory):
        claimant, _ = await sign_up(directory, "squatter", CEO)
        squatter = await actor_for(directory, claimant.id)
        await password_resets.request_reset(directory, VISITOR, CEO)
        found = LINK.search((await waiting(directory, CEO))["reset"])
        assert found is not None
        await password_resets.reset_password(
            directory, VISITOR, found[3], found[4], "holder-Password-9", PasswordRules()
        )
        async with transaction(directory) as tx:
            assert not await rows.is_still_valid(tx, squatter)
        assert (await current(directory, claimant.id)).verified
        assert not await can_sign_in(directory, CEO)
        assert await can_sign_in(directory, CEO, "holder-Password-9")


class TestUndo:
    async def test_a_thief_cannot_keep_the_account(self, directory: Directory):
        """Not by another password, not by a further address, not even by proving its own one."""
        victim = await create(directory, CEO, CEO)
        thief = await actor_for(directory, victim.id)
        changed = await change(directory, thief, victim.id, email=OTHER)
        assert (changed.username, changed.verified, changed.email_assigned) == (OTHER, False, False)
        link = await secret(directory, CEO, "undo")
        await sign_in.change_password(
            directory, thief, PASSWORD, "thief-Password-9", PasswordRules()
        )
        await prove(directory, OTHER)
        thief = await actor_for(directory, victim.id)
        await change(directory, thief, victim.id, email="third@evil.example")
        assert "undo" in await waiting(directory, OTHER)
        thief_link = await secret(directory, OTHER, "undo")
        assert (await email_addresses.get_changed(directory, VISITOR, link))[1] == CEO
        thief = await actor_for(directory, victim.id)
        restored, reset_secret = await email_addresses.undo_change(directory, VISITOR, link)
        assert (restored.email, restored.username, restored.verified) == (CEO, CEO, True)
        async with transaction(directory) as tx:
            assert not await rows.is_still_valid(tx, thief)
        assert not await can_sign_in(directory, CEO, "thief-Password-9")
        for used in (link, thief_link):
            with pytest.raises(InvalidLink):
                await email_addresses.undo_change(directory, VISITOR, used)
        await password_resets.reset_password(
            directory,
            VISITOR,
            reset_secret[:17],
            reset_secret[17:],
            "mine-Again-99",
            PasswordRules(),
        )
        assert await can_sign_in(directory, CEO, "mine-Again-99")

    async def test_an_address_that_somebody_else_holds_now(self, directory: Directory):
        victim = await create(directory, "victim", CEO)
        await change(directory, await actor_for(directory, victim.id), victim.id, email=OTHER)
        link = await secret(directory, CEO, "undo")
        claimant, _ = await sign_up(directory, "claimant", CEO)
        assert (await email_addresses.get_changed(directory, VISITOR, link))[1] == CEO
        await create(directory, "successor", CEO)
        assert (await current(directory, claimant.id)).email == ""
        for use in (email_addresses.get_changed, email_addresses.undo_change):
            with pytest.raises(Taken):
                await use(directory, VISITOR, link)
        assert (await current(directory, victim.id)).email == OTHER

    async def test_an_administrators_change_ends_it(self, directory: Directory):
        victim = await create(directory, "victim", CEO)
        await change(directory, await actor_for(directory, victim.id), victim.id, email=OTHER)
        link = await secret(directory, CEO, "undo")
        await change(directory, SYSTEM_ACTOR, victim.id, email="new@corp.example")
        with pytest.raises(InvalidLink):
            await email_addresses.undo_change(directory, VISITOR, link)

    async def test_a_lost_link_is_mailed_again(self, directory: Directory):
        victim = await create(directory, "victim", CEO)
        await change(directory, await actor_for(directory, victim.id), victim.id, email=OTHER)
        link = await secret(directory, CEO, "undo")
        async with transaction(directory) as tx:
            await outbox.remove_for_user(tx, victim.id)
        await email_addresses.resend_undo(directory, VISITOR, CEO.upper())
        await email_addresses.resend_undo(directory, VISITOR, "unknown@corp.example")
        assert await secret(directory, CEO, "undo") == link


class TestMails:
    async def test_five_an_hour_to_one_address_of_whatever_kind(
        self, directory: Directory, inviter: Actor
    ):
        for number in range(3):
            claimant, _ = await sign_up(directory, f"claimant{number}", CEO)
            async with transaction(directory) as tx:
                await users.delete(tx, claimant.id, erase=False)
        async with directory.begin(inviter) as tx:
            invitation = await invitations.invite(tx, email=CEO, name="", role=Role.MEMBER)
        await sign_up(directory, "last", CEO)  # the fifth
        with pytest.raises(RateLimited) as raised:
            async with directory.begin(inviter) as tx:
                await invitations.resend(tx, invitation.public_id)
        assert 0 < raised.value.retry_after <= 3600
        before = await waiting(directory, CEO)
        await password_resets.request_reset(directory, VISITOR, CEO)
        await create(directory, "boss", CEO)  # takes it over, without a sixth mail
        assert before.keys() == {"verify", "invitation"}
        assert (await waiting(directory, CEO)).keys() == {"invitation"}

    async def test_an_inviter_is_limited(self, settings: Settings):
        async for directory in with_settings(settings, invitation_rate=Rate(2, 3600)):
            home = await home_id(directory)
            for name in ("olga", "otto"):
                owner = await make_user(directory, name, Role.OWNER, home)
                actor = await actor_for(directory, owner.id)
                for number in range(3):
                    async with directory.begin(actor) as tx:
                        invited = invitations.invite(
                            tx, email=f"{name}{number}@x.example", name="", role=Role.MEMBER
                        )
                        if number < 2:
                            await invited
                        else:
                            with pytest.raises(RateLimited):
                                await invited

    async def test_a_link_to_choose_a_password(self, directory: Directory):
        user = await create(directory, "me", CEO)
        async with transaction(directory) as tx:
            await password_resets.send_link(tx, user.id)
        link = await secret(directory, CEO, "password")
        found = await password_resets.get_link_owner(directory, VISITOR, link[:17], link[17:])
        assert found.id == user.id
        for number in range(1, mails.MAX_MAILS_PER_HOUR):
            async with transaction(directory) as tx:
                await password_resets.send_link(tx, user.id)
            assert number
        with pytest.raises(RateLimited):
            async with transaction(directory) as tx:
                await password_resets.send_link(tx, user.id)
        nameless = await create(directory, "nameless")
        with pytest.raises(Invalid):
            async with transaction(directory) as tx:
                await password_resets.send_link(tx, nameless.id)
        async with transaction(directory) as tx:
            await users.set_active(tx, user.id, active=False)
        with pytest.raises(Inactive):
            async with transaction(directory) as tx:
                await password_resets.send_link(tx, user.id)


def test_mails_are_enqueued_in_one_place() -> None:
    """So that one limit holds for all of them."""
    source = Path(mails.__file__).parents[2]
    callers = [p.name for p in source.rglob("*.py") if "outbox.insert(" in p.read_text()]
    assert callers == ["mails.py"]
