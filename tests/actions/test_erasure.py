"""Erasing: what it leaves, whom it finds, and the ledger that it is written to first."""

from __future__ import annotations

import pytest

from dragoman.actions import erasure, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps import erasure_ledger
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, LastSuperadmin, NotFound, Unavailable
from dragoman.rules.model import Role, User
from dragoman.rules.vocabulary import UNRESTRICTED, AuditAction
from dragoman.store import audit, erasures
from tests.support.databases import query
from tests.support.people import (
    SYSTEM_ACTOR,
    actor_for,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

PERSONAL = {
    "email": "zelda@example.com",
    "first_name": "Zelda",
    "last_name": "Quirk",
    "phone": "+48 600 123 123",
    "bio": "collects stamps",
    "url": "https://zelda.example.com",
    "company": "Quirk & Sons",
    "location": "Lublin",
}
COLUMNS = ("username", "display_name", *PERSONAL)


async def make_zelda(directory: Directory) -> User:
    home = await make_tenant(directory, "home")
    return await make_user(directory, "zelda", tenant_id=home, **PERSONAL)


async def erase(directory: Directory, user_id: int) -> erasure.Receipt:
    async with transaction(directory) as tx:
        return await erasure.erase(tx, user_id)


async def stored_fields(directory: Directory, user_id: int) -> list[str]:
    statement = f"SELECT {', '.join(COLUMNS)}, search FROM users WHERE id = {user_id}"
    [row] = await query(directory.settings.database, statement)
    return [value for value in row if value]


def ledger(directory: Directory) -> list[str]:
    path = directory.settings.erasures_path
    return [public_id for public_id, _ in erasure_ledger.read(path)] if path.exists() else []


@pytest.mark.parametrize("before", ["living", "tombstone", "erased"])
async def test_nothing_personal_is_left(directory: Directory, before: str):
    zelda = await make_zelda(directory)
    if before != "living":
        async with transaction(directory) as tx:
            await users.delete(tx, zelda.id, erase=before == "erased")
    receipt = await erase(directory, zelda.id)
    assert receipt.public_id == zelda.public_id
    assert receipt.already_erased is (before == "erased")
    assert await stored_fields(directory, zelda.id) == []
    assert set(ledger(directory)) == {zelda.public_id}
    read = directory.read(SYSTEM_ACTOR)
    assert await erasures.erased_at(read, zelda.public_id) == receipt.erased_at > 0
    newest = (await audit.list_latest(read, limit=1))[0]
    assert (newest.action, newest.target_id) == ("users.erase", zelda.id)


async def test_what_a_contract_keeps_is_kept_until_it_is_erased(directory: Directory):
    zelda = await make_zelda(directory)
    async with transaction(directory) as tx:
        await users.delete(tx, zelda.id, erase=False)
    assert "zelda@example.com" in await stored_fields(directory, zelda.id)
    assert ledger(directory) == []


async def test_every_erasing_deletion_is_in_the_ledger_and_in_the_table(directory: Directory):
    zelda = await make_zelda(directory)
    async with transaction(directory) as tx:
        await users.delete(tx, zelda.id, erase=True)
    assert ledger(directory) == [zelda.public_id]
    read = directory.read(SYSTEM_ACTOR)
    assert [row[0] for row in await erasures.list_page(read, after="", limit=9)] == ledger(
        directory
    )


async def test_nobody_is_erased_if_the_ledger_cannot_be_written(directory: Directory):
    zelda = await make_zelda(directory)
    directory.settings.erasures_path.mkdir()
    try:
        with pytest.raises(Unavailable, match="ledger of erasures"):
            await erase(directory, zelda.id)
        with pytest.raises(Unavailable, match="ledger of erasures"):
            async with transaction(directory) as tx:
                await users.delete(tx, zelda.id, erase=True)
    finally:
        directory.settings.erasures_path.rmdir()
    assert "zelda@example.com" in await stored_fields(directory, zelda.id)
    assert await erasures.erased_at(directory.read(SYSTEM_ACTOR), zelda.public_id) == 0


async def test_a_refused_erasure_is_not_in_the_ledger(directory: Directory):
    [(first_id,)] = await query(directory.settings.database, "SELECT min(id) FROM users")
    with pytest.raises(LastSuperadmin):
        await erase(directory, first_id)
    zelda = await make_zelda(directory)
    with pytest.raises(ZeroDivisionError):
        async with transaction(directory) as tx:
            await erasure.erase(tx, zelda.id)
            raise ZeroDivisionError
    assert ledger(directory) == []


async def test_addresses_of_clients_leave_the_history(directory: Directory):
    zelda = await make_zelda(directory)
    other = await make_user(directory, "other", tenant_id=zelda.tenant_id)
    async with transaction(directory) as tx:
        for actor, target in ((zelda.id, 0), (0, zelda.id), (other.id, zelda.id), (0, other.id)):
            tx.actor = actor_at(actor, "203.0.113.9")
            audit.write(tx, AuditAction.SIGN_IN, target_id=target)
        tx.actor = SYSTEM_ACTOR
    await erase(directory, zelda.id)
    rows = await query(
        directory.settings.database,
        "SELECT actor_id, target_id FROM audit WHERE address = '203.0.113.9'",
    )
    assert set(rows) == {(other.id, zelda.id), (0, other.id)}


def actor_at(user_id: int, address: str) -> Actor:
    """Return a user, or a visitor if the id is 0, behind a client address."""
    kind = "user" if user_id else "visitor"
    return Actor(
        kind=kind, user_id=user_id, contract="tests", restrictions=UNRESTRICTED, address=address
    )


async def test_the_new_holder_of_an_address_keeps_its_invitations(directory: Directory):
    zelda = await make_zelda(directory)
    async with transaction(directory) as tx:
        await users.delete(tx, zelda.id, erase=False)
    again = await make_user(
        directory, "zelda", tenant_id=zelda.tenant_id, email="zelda@example.com"
    )
    await erase(directory, zelda.id)
    assert "zelda@example.com" in await stored_fields(directory, again.id)


async def test_who_may_erase(directory: Directory):
    zelda = await make_zelda(directory)
    away = await make_tenant(directory, "away")
    owner = await make_user(directory, "owner", Role.OWNER, zelda.tenant_id)
    foreign = await make_user(directory, "foreign", Role.OWNER, away)
    async with transaction(directory) as tx:
        await users.delete(tx, zelda.id, erase=False)
    with pytest.raises(NotFound):
        async with directory.begin(await actor_for(directory, foreign.id)) as tx:
            await erasure.erase(tx, zelda.id)
    member = await make_user(directory, "member", tenant_id=zelda.tenant_id)
    with pytest.raises(Forbidden):
        async with directory.begin(await actor_for(directory, member.id)) as tx:
            await erasure.erase(tx, zelda.id)
    async with directory.begin(await actor_for(directory, owner.id)) as tx:
        assert (await erasure.erase(tx, zelda.id)).user_id == zelda.id
    assert await stored_fields(directory, zelda.id) == []
    with pytest.raises(NotFound):
        await erase(directory, 987_654_321)
