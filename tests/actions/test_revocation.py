"""Revocation: no credential or token family survives it, and what erasure leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest
import sqlalchemy as sa

from dragoman.actions import invitations, refresh_tokens, sign_in, tenants, tokens, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import open_invitations, passwords
from dragoman.actions.tokens import PresentedCredential
from dragoman.rules.actor import Actor
from dragoman.rules.credentials import Credential, CredentialFormat
from dragoman.rules.errors import DirectoryError, NotFound, Unauthenticated
from dragoman.rules.model import DAY, HOUR, SECOND, Role, TenantChanges, User, UserChanges
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED, AuditAction
from dragoman.store import schema
from dragoman.store import users as user_store
from dragoman.store.query import Query
from tests.support.databases import query
from tests.support.people import (
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

NO_HASH = passwords.HashedPassword("no hash", strong=True)

PAIRS = CredentialFormat(
    contract="tests", token_type="access", lifetime=HOUR, refresh_lifetime=30 * DAY
)
VISITOR = Actor(kind="visitor", contract="tests", restrictions=UNRESTRICTED, address="192.0.2.1")
SHORT_WAIT_S = 0.3
"""Seconds that let a concurrent task reach the locked row."""


@pytest.fixture
async def tenant_id(directory: Directory) -> int:
    """A tenant."""
    return await make_tenant(directory, "home")


@pytest.fixture
async def mia(directory: Directory, tenant_id: int) -> User:
    """A member of it."""
    return await make_user(directory, "mia", tenant_id=tenant_id, email="mia@example.com")


async def sign_in_as_mia(directory: Directory) -> Credential:
    return (await sign_in.sign_in(directory, VISITOR, "mia", PASSWORD, PAIRS))[1]


async def renew(directory: Directory, credential: Credential) -> Credential:
    return (await refresh_tokens.refresh(directory, VISITOR, credential.refresh_token, PAIRS))[1]


async def is_accepted(directory: Directory, credential: Credential) -> bool:
    presented = PresentedCredential(
        credential_format=PAIRS,
        secret=credential.secret,
        restrictions=UNRESTRICTED,
        request_id="",
        address="192.0.2.1",
    )
    try:
        await tokens.authenticate(directory, presented)
    except Unauthenticated:
        return False
    return True


async def outcome(work: Awaitable[Credential]) -> Credential | DirectoryError:
    try:
        return await work
    except DirectoryError as error:
        return error


class TestRevocation:
    """A password set or a deactivation ends every credential, in the same transaction."""

    async def test_a_refresh_that_waits_while_a_password_is_set_gets_nothing(
        self, directory: Directory, mia: User
    ):
        given = await sign_in_as_mia(directory)
        async with transaction(directory) as tx:
            user = await user_store.get(tx, mia.id)
            await passwords.store_password(tx, user, NO_HASH, AuditAction.SET_PASSWORD)
            waiting = asyncio.create_task(outcome(renew(directory, given)))
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        assert isinstance(came, Unauthenticated), came
        assert not await is_accepted(directory, given)

    async def test_nor_does_one_that_waits_while_its_user_is_switched_off(
        self, directory: Directory, mia: User
    ):
        given = await sign_in_as_mia(directory)
        async with transaction(directory) as tx:
            await users.set_active(tx, mia.id, active=False)
            waiting = asyncio.create_task(outcome(renew(directory, given)))
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        async with transaction(directory) as tx:
            await users.set_active(tx, mia.id, active=True)
        assert isinstance(came, Unauthenticated), came

    async def test_whoever_issues_for_itself_while_it_is_cut_off_gets_nothing(
        self, directory: Directory, tenant_id: int
    ):
        olga = await make_user(directory, "olga", Role.OWNER, tenant_id)
        actor = await actor_for(directory, olga.id)
        credential_format = CredentialFormat(contract="tests")

        async def issue() -> Credential:
            async with transaction(directory, actor) as tx:
                return await tokens.issue(tx, directory, olga.id, credential_format)

        async with transaction(directory) as tx:
            user = await user_store.get(tx, olga.id)
            await passwords.store_password(tx, user, NO_HASH, AuditAction.SET_PASSWORD)
            waiting = asyncio.create_task(outcome(issue()))
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        assert isinstance(came, Unauthenticated), came

    async def test_whoever_changes_the_own_address_while_being_cut_off_changes_nothing(
        self, directory: Directory, mia: User
    ):
        actor = await actor_for(directory, mia.id)

        async def change() -> User:
            async with transaction(directory, actor) as tx:
                return await users.update(tx, mia.id, UserChanges(email="thief@example.com"))

        async with transaction(directory) as tx:
            user = await user_store.get(tx, mia.id)
            await passwords.store_password(tx, user, NO_HASH, AuditAction.SET_PASSWORD)
            waiting = asyncio.create_task(change())
            await asyncio.sleep(SHORT_WAIT_S)
        with pytest.raises(Unauthenticated):
            await waiting
        kept = await user_store.find(directory.read(VISITOR), mia.id)
        assert kept is not None
        assert kept.email == mia.email

    async def test_a_refresh_that_waits_while_its_tenant_is_switched_off_gets_nothing(
        self, directory: Directory, tenant_id: int, mia: User, backend: str
    ):
        if backend == "sqlite":
            pytest.skip("nothing else is written while somebody waits")
        given = await sign_in_as_mia(directory)
        async with transaction(directory) as tx:
            await user_store.get(tx, mia.id)
            waiting = asyncio.create_task(outcome(renew(directory, given)))
            await asyncio.sleep(SHORT_WAIT_S)
            off = asyncio.create_task(_switch(directory, tenant_id, active=False))
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        await off
        await _switch(directory, tenant_id, active=True)
        assert not isinstance(came, Credential) or not await is_accepted(directory, came)

    async def test_nor_does_a_sign_in_that_has_seen_the_tenant_before(
        self, directory: Directory, tenant_id: int, mia: User, backend: str
    ):
        if backend == "sqlite":
            pytest.skip("nothing else is written while somebody waits")
        await sign_in_as_mia(directory)
        async with transaction(directory) as tx:
            remembered = sa.select(schema.addresses.c.user_id).with_for_update()
            await tx.fetch(Query(remembered))
            waiting = asyncio.create_task(outcome(sign_in_as_mia(directory)))
            await asyncio.sleep(SHORT_WAIT_S)
            off = asyncio.create_task(_switch(directory, tenant_id, active=False))
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        await off
        await _switch(directory, tenant_id, active=True)
        assert not isinstance(came, Credential) or not await is_accepted(directory, came)


async def _switch(directory: Directory, tenant_id: int, *, active: bool) -> None:
    async with transaction(directory) as tx:
        await tenants.update(tx, tenant_id, TenantChanges(active=active), home_slug="main")


class TestRefreshTokenReuse:
    """A refresh token used again: its whole family is dead, access tokens too."""

    async def test_what_is_just_being_given_dies_with_its_family(
        self, directory: Directory, mia: User
    ):
        directory.settings = msgspec.structs.replace(directory.settings, refresh_grace=0)
        first = await sign_in_as_mia(directory)
        second = await renew(directory, first)
        async with transaction(directory) as tx:
            await user_store.get(tx, mia.id)
            third = asyncio.create_task(outcome(renew(directory, second)))
            await asyncio.sleep(SHORT_WAIT_S)
            again = asyncio.create_task(outcome(renew(directory, first)))
            await asyncio.sleep(SHORT_WAIT_S)
        assert isinstance(await again, Unauthenticated)
        came = await third
        if isinstance(came, Credential):
            assert not await is_accepted(directory, came)
            assert isinstance(await outcome(renew(directory, came)), Unauthenticated)

    async def test_within_the_grace_it_gives_another_pair(self, directory: Directory, mia: User):
        first = await sign_in_as_mia(directory)
        pairs = [await renew(directory, first) for _ in range(3)]
        assert len({pair.refresh_token for pair in pairs}) == 3
        for pair in (first, *pairs):
            assert await is_accepted(directory, pair)
        assert await is_accepted(directory, await renew(directory, pairs[0]))

    async def test_at_once_all_get_a_pair(self, directory: Directory, mia: User):
        first = await sign_in_as_mia(directory)
        pairs = await asyncio.gather(*(renew(directory, first) for _ in range(4)))
        for pair in pairs:
            assert await is_accepted(directory, pair)

    async def test_after_the_grace_the_family_is_dead(self, directory: Directory, mia: User):
        first = await sign_in_as_mia(directory)
        pairs = [await renew(directory, first) for _ in range(2)]
        grace = directory.settings.refresh_grace
        used = sa.update(schema.tokens).where(schema.tokens.c.used_at > 0)
        async with transaction(directory) as tx:
            await tx.run(Query(used.values(used_at=schema.tokens.c.used_at - grace * SECOND)))
        assert isinstance(await outcome(renew(directory, first)), Unauthenticated)
        for pair in (first, *pairs):
            assert not await is_accepted(directory, pair)
            assert isinstance(await outcome(renew(directory, pair)), Unauthenticated)

    @pytest.mark.parametrize("ended_by", ["password", "sign_out", "deactivation"])
    async def test_the_grace_revives_nothing(self, directory: Directory, mia: User, ended_by: str):
        first = await sign_in_as_mia(directory)
        second = await renew(directory, first)
        if ended_by == "password":
            rules = PasswordRules()
            await users.set_password(directory, SYSTEM_ACTOR, mia.id, f"{PASSWORD}-2", rules)
        elif ended_by == "deactivation":
            async with transaction(directory) as tx:
                await users.set_active(tx, mia.id, active=False)
        else:
            presented = PresentedCredential(
                credential_format=PAIRS,
                secret=second.secret,
                restrictions=UNRESTRICTED,
                request_id="",
                address="",
            )
            actor = (await tokens.authenticate(directory, presented)).actor
            async with transaction(directory, actor) as tx:
                await tokens.sign_out(tx)
        assert isinstance(await outcome(renew(directory, first)), Unauthenticated)

    async def test_signing_out_ends_what_is_just_being_given(self, directory: Directory, mia: User):
        given = await sign_in_as_mia(directory)
        presented = PresentedCredential(
            credential_format=PAIRS,
            secret=given.secret,
            restrictions=UNRESTRICTED,
            request_id="",
            address="",
        )
        actor = (await tokens.authenticate(directory, presented)).actor

        async def leave() -> None:
            async with transaction(directory, actor) as tx:
                await tokens.sign_out(tx)

        async with transaction(directory) as tx:
            await user_store.get(tx, mia.id)
            waiting = asyncio.create_task(outcome(renew(directory, given)))
            await asyncio.sleep(SHORT_WAIT_S)
            out = asyncio.create_task(leave())
            await asyncio.sleep(SHORT_WAIT_S)
        came = await waiting
        await out
        assert not isinstance(came, Credential) or not await is_accepted(directory, came)

    async def test_deleting_a_user_who_refreshes_meanwhile_is_no_deadlock(
        self, directory: Directory, mia: User
    ):
        given = await sign_in_as_mia(directory)
        async with transaction(directory) as tx:
            await user_store.get(tx, mia.id)
            waiting = asyncio.create_task(outcome(renew(directory, given)))
            await asyncio.sleep(SHORT_WAIT_S)
            await users.delete(tx, mia.id, erase=False)
        came = await waiting
        assert isinstance(came, Unauthenticated), came


class TestErasing:
    """Whoever is erased leaves no address and no name behind."""

    async def test_not_even_the_address_that_was_invited_and_changed_since(
        self, directory: Directory, tenant_id: int, database: str
    ):
        olga = await make_user(directory, "olga", Role.OWNER, tenant_id)
        actor = await actor_for(directory, olga.id)
        async with transaction(directory, actor) as tx:
            made = await invitations.invite(
                tx, email="nora@example.com", name="Nora van Dyck", role=Role.MEMBER
            )
        secret = open_invitations.link_secret(directory, made)
        nora, _ = await invitations.accept(
            directory, VISITOR, secret, PASSWORD, "", PasswordRules(), PAIRS
        )
        async with transaction(directory) as tx:
            await users.update(tx, nora.id, UserChanges(email="elinor@example.com", username="el"))
        async with transaction(directory) as tx:
            await users.delete(tx, nora.id, erase=True)
        left = await query(database, "SELECT email, email_key, name FROM invitations")
        assert left == [("", "", "")]


class TestInvitations:
    """What somebody offers while being cut off is taken back with the rest, or never made."""

    async def test_whoever_sends_one_while_being_switched_off(
        self, directory: Directory, tenant_id: int
    ):
        olga = await make_user(directory, "olga", Role.OWNER, tenant_id)
        await make_user(directory, "otto", Role.OWNER, tenant_id)
        actor = await actor_for(directory, olga.id)

        async def invite() -> str:
            async with transaction(directory, actor) as tx:
                made = await invitations.invite(
                    tx, email="nora@example.com", name="Nora", role=Role.OWNER
                )
            return open_invitations.link_secret(directory, made)

        async with transaction(directory) as tx:
            await users.set_active(tx, olga.id, active=False)
            sending = asyncio.create_task(invite())
            await asyncio.sleep(SHORT_WAIT_S)
        try:
            secret = await sending
        except Unauthenticated:
            return
        async with transaction(directory) as tx:
            await users.set_active(tx, olga.id, active=True)
        with pytest.raises(NotFound):
            await invitations.get_open(directory, VISITOR, secret)
