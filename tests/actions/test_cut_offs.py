"""Credentials that outlive a cut-off, families that outlive their end, and what erasing leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
import sqlalchemy as sa

from dragoman.actions import invitations, refresh_tokens, sign_in, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations, passwords
from dragoman.actions.tokens import Presented
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, Kind
from dragoman.rules.errors import Failure, NotFound, Unauthenticated
from dragoman.rules.model import DAY, HOUR, Role, TenantChanges, User, UserChanges
from dragoman.rules.passwords import Floor
from dragoman.rules.vocabulary import NOTHING_NARROWED
from dragoman.store import schema
from dragoman.store import users as people
from dragoman.store.query import Query
from tests.store.tools import (
    PASSWORD,
    actor_of,
    make_tenant,
    make_user,
    transaction,
)
from tests.support.databases import query

pytestmark = pytest.mark.anyio

PAIRS = Kind(contract="tests", kind="access", lasts=HOUR, refresh_lasts=30 * DAY)
VISITOR = Actor(kind="visitor", contract="tests", narrowing=NOTHING_NARROWED, address="192.0.2.1")
A_MOMENT_S = 0.3
"""Long enough for whoever starts meanwhile to stand before the row that is held."""


@pytest.fixture
async def home(directory: Directory) -> int:
    """A tenant."""
    return await make_tenant(directory, "home")


@pytest.fixture
async def mia(directory: Directory, home: int) -> User:
    """A member of it."""
    return await make_user(directory, "mia", tenant_id=home, email="mia@example.com")


async def enter(directory: Directory) -> Credential:
    return (await sign_in.sign_in(directory, VISITOR, "mia", PASSWORD, PAIRS))[1]


async def renew(directory: Directory, credential: Credential) -> Credential:
    return (await refresh_tokens.refresh(directory, VISITOR, credential.refresh, PAIRS))[1]


async def opens(directory: Directory, credential: Credential) -> bool:
    presented = Presented(
        kind=PAIRS,
        secret=credential.secret,
        narrowing=NOTHING_NARROWED,
        request_id="",
        address="192.0.2.1",
    )
    try:
        await tokens.authenticate(directory, presented)
    except Unauthenticated:
        return False
    return True


async def what_came(work: Awaitable[Credential]) -> Credential | Failure:
    try:
        return await work
    except Failure as fault:
        return fault


class TestCutOffs:
    """A password set or a deactivation ends every credential, in the same transaction."""

    async def test_a_refresh_that_waits_while_a_password_is_set_gets_nothing(
        self, directory: Directory, mia: User
    ):
        given = await enter(directory)
        async with transaction(directory) as tx:
            user = await people.get(tx, mia.id)
            await passwords.store(tx, user, "no hash", "users.set_password")
            waiting = asyncio.create_task(what_came(renew(directory, given)))
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        assert isinstance(came, Unauthenticated), came
        assert not await opens(directory, given)

    async def test_nor_does_one_that_waits_while_its_user_is_switched_off(
        self, directory: Directory, mia: User
    ):
        given = await enter(directory)
        async with transaction(directory) as tx:
            await users.set_active(tx, mia.id, active=False)
            waiting = asyncio.create_task(what_came(renew(directory, given)))
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        async with transaction(directory) as tx:
            await users.set_active(tx, mia.id, active=True)
        assert isinstance(came, Unauthenticated), came

    async def test_whoever_issues_for_itself_while_it_is_cut_off_gets_nothing(
        self, directory: Directory, home: int
    ):
        olga = await make_user(directory, "olga", Role.OWNER, home)
        actor = await actor_of(directory, olga.id)
        kind = Kind(contract="tests")

        async def issue() -> Credential:
            async with transaction(directory, actor) as tx:
                return await tokens.issue(tx, directory, olga.id, kind)

        async with transaction(directory) as tx:
            user = await people.get(tx, olga.id)
            await passwords.store(tx, user, "no hash", "users.set_password")
            waiting = asyncio.create_task(what_came(issue()))
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        assert isinstance(came, Unauthenticated), came

    async def test_whoever_changes_the_own_address_while_being_cut_off_changes_nothing(
        self, directory: Directory, mia: User
    ):
        actor = await actor_of(directory, mia.id)

        async def change() -> User:
            async with transaction(directory, actor) as tx:
                return await users.update(tx, mia.id, UserChanges(email="thief@example.com"))

        async with transaction(directory) as tx:
            user = await people.get(tx, mia.id)
            await passwords.store(tx, user, "no hash", "users.set_password")
            waiting = asyncio.create_task(change())
            await asyncio.sleep(A_MOMENT_S)
        with pytest.raises(Unauthenticated):
            await waiting
        kept = await people.find(directory.read(VISITOR), mia.id)
        assert kept is not None
        assert kept.email == mia.email

    async def test_a_refresh_that_waits_while_its_tenant_is_switched_off_gets_nothing(
        self, directory: Directory, home: int, mia: User, backend: str
    ):
        if backend == "sqlite":
            pytest.skip("nothing else is written while somebody waits")
        given = await enter(directory)
        async with transaction(directory) as tx:
            await people.get(tx, mia.id)
            waiting = asyncio.create_task(what_came(renew(directory, given)))
            await asyncio.sleep(A_MOMENT_S)
            off = asyncio.create_task(_switch(directory, home, active=False))
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        await off
        await _switch(directory, home, active=True)
        assert not isinstance(came, Credential) or not await opens(directory, came)

    async def test_nor_does_a_sign_in_that_has_seen_the_tenant_before(
        self, directory: Directory, home: int, mia: User, backend: str
    ):
        if backend == "sqlite":
            pytest.skip("nothing else is written while somebody waits")
        await enter(directory)
        async with transaction(directory) as tx:
            remembered = sa.select(schema.addresses.c.user_id).with_for_update()
            await tx.all(Query(remembered))
            waiting = asyncio.create_task(what_came(enter(directory)))
            await asyncio.sleep(A_MOMENT_S)
            off = asyncio.create_task(_switch(directory, home, active=False))
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        await off
        await _switch(directory, home, active=True)
        assert not isinstance(came, Credential) or not await opens(directory, came)


async def _switch(directory: Directory, tenant_id: int, *, active: bool) -> None:
    async with transaction(directory) as tx:
        await tenants.update(tx, tenant_id, TenantChanges(active=active), home="main")


class TestFamilies:
    """A refresh token used again: its whole family is dead, access tokens too."""

    async def test_what_is_just_being_given_dies_with_its_family(
        self, directory: Directory, mia: User
    ):
        first = await enter(directory)
        second = await renew(directory, first)
        async with transaction(directory) as tx:
            await people.get(tx, mia.id)
            third = asyncio.create_task(what_came(renew(directory, second)))
            await asyncio.sleep(A_MOMENT_S)
            again = asyncio.create_task(what_came(renew(directory, first)))
            await asyncio.sleep(A_MOMENT_S)
        assert isinstance(await again, Unauthenticated)
        came = await third
        if isinstance(came, Credential):
            assert not await opens(directory, came)
            assert isinstance(await what_came(renew(directory, came)), Unauthenticated)

    async def test_signing_out_ends_what_is_just_being_given(self, directory: Directory, mia: User):
        given = await enter(directory)
        presented = Presented(
            kind=PAIRS, secret=given.secret, narrowing=NOTHING_NARROWED, request_id="", address=""
        )
        actor, _, _ = await tokens.authenticate(directory, presented)

        async def leave() -> None:
            async with transaction(directory, actor) as tx:
                await tokens.sign_out(tx)

        async with transaction(directory) as tx:
            await people.get(tx, mia.id)
            waiting = asyncio.create_task(what_came(renew(directory, given)))
            await asyncio.sleep(A_MOMENT_S)
            out = asyncio.create_task(leave())
            await asyncio.sleep(A_MOMENT_S)
        came = await waiting
        await out
        assert not isinstance(came, Credential) or not await opens(directory, came)

    async def test_deleting_a_user_who_refreshes_meanwhile_is_no_deadlock(
        self, directory: Directory, mia: User
    ):
        given = await enter(directory)
        async with transaction(directory) as tx:
            await people.get(tx, mia.id)
            waiting = asyncio.create_task(what_came(renew(directory, given)))
            await asyncio.sleep(A_MOMENT_S)
            await users.delete(tx, mia.id, erase=False)
        came = await waiting
        assert isinstance(came, Unauthenticated), came


class TestErasing:
    """Whoever is erased leaves no address and no name behind."""

    async def test_not_even_the_address_that_was_invited_and_changed_since(
        self, directory: Directory, home: int, database: str
    ):
        olga = await make_user(directory, "olga", Role.OWNER, home)
        actor = await actor_of(directory, olga.id)
        async with transaction(directory, actor) as tx:
            made = await invitations.invite(
                tx, email="nora@example.com", name="Nora van Dyck", role=Role.MEMBER
            )
        secret = open_invitations.secret_of(directory, made)
        nora, _ = await invitations.accept(directory, VISITOR, secret, PASSWORD, "", Floor(), PAIRS)
        async with transaction(directory) as tx:
            await users.update(tx, nora.id, UserChanges(email="elinor@example.com", username="el"))
        async with transaction(directory) as tx:
            await users.delete(tx, nora.id, erase=True)
        left = await query(database, "SELECT email, email_key, name FROM invitations")
        assert left == [("", "", "")]


class TestInvitations:
    """What somebody offers while being cut off is taken back with the rest, or never made."""

    async def test_whoever_sends_one_while_being_switched_off(
        self, directory: Directory, home: int
    ):
        olga = await make_user(directory, "olga", Role.OWNER, home)
        await make_user(directory, "otto", Role.OWNER, home)
        actor = await actor_of(directory, olga.id)

        async def invite() -> str:
            async with transaction(directory, actor) as tx:
                made = await invitations.invite(
                    tx, email="nora@example.com", name="Nora", role=Role.OWNER
                )
            return open_invitations.secret_of(directory, made)

        async with transaction(directory) as tx:
            await users.set_active(tx, olga.id, active=False)
            sending = asyncio.create_task(invite())
            await asyncio.sleep(A_MOMENT_S)
        try:
            secret = await sending
        except Unauthenticated:
            return
        async with transaction(directory) as tx:
            await users.set_active(tx, olga.id, active=True)
        with pytest.raises(NotFound):
            await invitations.show(directory, VISITOR, secret)
