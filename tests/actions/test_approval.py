"""Approval: who signed up does not exist at closed contracts until somebody approves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from dragoman.actions import access, groups, permissions, sign_in, tokens, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.rules.actor import Actor
from dragoman.rules.errors import BadCredentials, Forbidden, NotFound
from dragoman.rules.fields import search_words
from dragoman.rules.model import Access, Filter, NewUser, Order, Role, User
from dragoman.rules.passwords import PasswordRules
from dragoman.rules.vocabulary import UNRESTRICTED, Restrictions
from dragoman.settings import Settings
from dragoman.store.transaction import Tx
from dragoman.store.user_lists import counters
from tests.support.databases import audit_rows
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_user,
    open_directory,
    transaction,
    usernames,
)

pytestmark = pytest.mark.anyio

CLOSED = Restrictions(approved_only=True)
NAME, EMAIL = "newcomer", "newcomer@example.com"


async def sign_up(directory: Directory, username: str = NAME, email: str = EMAIL) -> User:
    """Register somebody, whom nobody has approved."""
    new = NewUser(username=username, email=email)
    user, _ = await sign_in.sign_up(
        directory, anonymous_actor(), new, PASSWORD, PasswordRules(), CREDENTIAL_FORMAT
    )
    return user


async def owner_of(directory: Directory, user: User, restrictions: Restrictions) -> Actor:
    """Return an owner of somebody's tenant, who acts at a contract."""
    owner = await make_user(directory, "olga", Role.OWNER, user.tenant_id)
    return await actor_for(directory, owner.id, restrictions)


async def listed(directory: Directory, actor: Actor, words: str = "") -> list[str]:
    """Return the usernames in a list, whose count must be that of the names."""
    page = await user_lists.list_page(
        directory,
        directory.read(actor),
        Filter(words=search_words(words)),
        (Order("id"),),
        limit=100,
    )
    assert page.count == len(page.rows)
    return usernames(page.rows)


async def reload(directory: Directory, user: User) -> User:
    return await user_lists.get(directory.read(SYSTEM_ACTOR), user.id)


async def test_who_signed_up_is_in_no_look_up_list_or_count_of_a_closed_contract(
    directory: Directory,
) -> None:
    user = await sign_up(directory)
    assert (user.approved, user.signed_up, user.verified) == (False, True, False)
    closed = await owner_of(directory, user, CLOSED)
    open_ = msgspec.structs.replace(closed, restrictions=UNRESTRICTED)
    read = directory.read(closed)
    prefetched = directory.read(closed, user)
    for look_up in (
        user_lists.get(read, user.id),
        user_lists.get(prefetched, user.id),
        user_lists.find(read, public_id=user.public_id),
        user_lists.find(read, username=NAME),
        user_lists.find(read, email=EMAIL),
    ):
        with pytest.raises(NotFound):
            await look_up
    assert await listed(directory, closed) == ["olga"]
    assert await listed(directory, closed, "newcomer") == []
    assert await listed(directory, closed, "ne") == []
    assert await listed(directory, open_) == [NAME, "olga"]
    assert await listed(directory, open_, "newcomer") == [NAME]
    for contract, expected in ((closed, ["olga"]), (open_, [NAME, "olga"])):
        batches = [b async for b in user_lists.iterate(directory, directory.read(contract))]
        assert usernames([each for batch in batches for each in batch]) == expected
    async with transaction(directory) as tx:
        await users.approve(tx, user.id)
    assert await listed(directory, closed) == [NAME, "olga"]
    assert await listed(directory, closed, "newcomer") == [NAME]
    assert (await user_lists.find(read, email=EMAIL)).id == user.id
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}


ACTS: dict[str, Callable[[Directory, Tx, int], Awaitable[Any]]] = {
    "approve": lambda _, tx, user_id: users.approve(tx, user_id),
    "role": lambda _, tx, user_id: users.assign_role(tx, user_id, Role.VIEWER),
    "state": lambda _, tx, user_id: users.set_active(tx, user_id, active=False),
    "permission": lambda _, tx, user_id: permissions.grant(tx, user_id, [1]),
    "access": lambda _, tx, user_id: access.replace(
        tx, user_id, [Access("m1", "full")], full_level="full"
    ),
    "token": lambda directory, tx, user_id: tokens.issue(tx, directory, user_id, CREDENTIAL_FORMAT),
    "sessions": lambda _, tx, user_id: tokens.revoke(tx, user_id),
    "deletion": lambda _, tx, user_id: users.delete(tx, user_id, erase=False),
}


@pytest.mark.parametrize("act", ACTS)
async def test_nothing_can_be_done_to_it_there(directory: Directory, act: str) -> None:
    user = await sign_up(directory)
    closed = await owner_of(directory, user, CLOSED)
    with pytest.raises(NotFound):
        async with transaction(directory, closed) as tx:
            await ACTS[act](directory, tx, user.id)
    assert not (await reload(directory, user)).approved


async def test_a_sign_in_at_a_closed_contract_is_that_of_an_unknown_name(
    directory: Directory, database: str
) -> None:
    user = await sign_up(directory)
    visitor = msgspec.structs.replace(anonymous_actor(), restrictions=CLOSED)
    before = (await audit_rows(database))[-1].id
    for name in (NAME, EMAIL, "nobody@example.com"):
        with pytest.raises(BadCredentials):
            await sign_in.sign_in(directory, visitor, name, PASSWORD, CREDENTIAL_FORMAT)
    rows = await audit_rows(database, before)
    assert {(row.action, row.target_id) for row in rows} == {("sessions.sign_in_failed", 0)}
    async with transaction(directory) as tx:
        await users.approve(tx, user.id)
    signed_in, _ = await sign_in.sign_in(directory, visitor, NAME, PASSWORD, CREDENTIAL_FORMAT)
    assert signed_in.id == user.id


async def add_to_group(tx: Tx, user: User) -> None:
    assert user.tenant_id is not None
    group = await groups.create(tx, user.tenant_id, "Desk")
    assert await groups.add_member(tx, group.group.id, user.id)


GIFTS: dict[str, Callable[[Tx, User], Awaitable[Any]]] = {
    "approval": lambda tx, user: users.approve(tx, user.id),
    "role": lambda tx, user: users.assign_role(tx, user.id, Role.OWNER),
    "lower role": lambda tx, user: users.assign_role(tx, user.id, Role.VIEWER),
    "role with fields": lambda tx, user: users.update_with_role(tx, user.id, role=Role.OWNER),
    "permission": lambda tx, user: permissions.grant(tx, user.id, [1]),
    "group": add_to_group,
    "access": lambda tx, user: access.replace(
        tx, user.id, [Access("m1", "full")], full_level="full"
    ),
}


@pytest.mark.parametrize("gift", GIFTS)
async def test_who_is_given_something_is_approved(
    directory: Directory, database: str, gift: str
) -> None:
    user = await sign_up(directory)
    before = (await audit_rows(database))[-1].id
    async with transaction(directory) as tx:
        await GIFTS[gift](tx, user)
    approved = await reload(directory, user)
    assert (approved.approved, approved.email_assigned, approved.verified) == (True, True, False)
    rows = [row for row in await audit_rows(database, before) if row.action == "users.approve"]
    assert [(row.target_id, row.fields) for row in rows] == [(user.id, "approved")]
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}


async def revoke_what_it_lacks(tx: Tx, user: User) -> None:
    assert user.tenant_id is not None
    await permissions.revoke(tx, user.id, [1])
    group = await groups.create(tx, user.tenant_id, "Desk")
    assert not await groups.remove_member(tx, group.group.id, user.id)


NOTHING: dict[str, Callable[[Tx, User], Awaitable[Any]]] = {
    "same role": lambda tx, user: users.assign_role(tx, user.id, user.role),
    "role of the same name": lambda tx, user: users.assign_role(
        tx, user.id, Role.VIEWER, same_role_names=frozenset({user.role})
    ),
    "no permission": lambda tx, user: permissions.grant(tx, user.id, []),
    "no access": lambda tx, user: access.replace(tx, user.id, [], full_level="full"),
    "revocation": revoke_what_it_lacks,
    "state": lambda tx, user: users.set_active(tx, user.id, active=False),
}


@pytest.mark.parametrize("request_", NOTHING)
async def test_who_is_given_nothing_is_not(directory: Directory, request_: str) -> None:
    user = await sign_up(directory)
    async with transaction(directory) as tx:
        await NOTHING[request_](tx, user)
    assert not (await reload(directory, user)).approved


async def test_approval_is_never_lost(directory: Directory) -> None:
    user = await sign_up(directory)
    async with transaction(directory) as tx:
        await permissions.grant(tx, user.id, [1])
        await permissions.revoke(tx, user.id, [1])
        await users.assign_role(tx, user.id, Role.VIEWER)
        await users.set_active(tx, user.id, active=False)
        await users.set_active(tx, user.id, active=True)
    assert (await reload(directory, user)).approved


async def test_approving_again_changes_nothing_but_may_prove_the_address(
    directory: Directory, database: str
) -> None:
    user = await sign_up(directory)
    async with transaction(directory) as tx:
        await users.approve(tx, user.id)
    before = (await audit_rows(database))[-1].id
    async with transaction(directory) as tx:
        await users.approve(tx, user.id)
    assert await audit_rows(database, before) == []
    async with transaction(directory) as tx:
        proven = await users.approve(tx, user.id, proven=True)
    assert (proven.approved, proven.verified) == (True, True)
    (row,) = await audit_rows(database, before)
    assert (row.action, row.fields) == ("users.approve", "verified")


async def test_who_has_no_address_gets_none_proven(directory: Directory) -> None:
    user = await sign_up(directory, email="")
    async with transaction(directory) as tx:
        approved = await users.approve(tx, user.id, proven=True)
    assert (approved.approved, approved.verified, approved.email_assigned) == (True, False, False)


async def test_only_administrators_and_owners_approve(directory: Directory) -> None:
    user, other = await sign_up(directory), await sign_up(directory, "other", "")
    member = await actor_for(directory, other.id)
    owner = await owner_of(directory, user, UNRESTRICTED)
    for actor, refused in ((member, Forbidden), (anonymous_actor(), Forbidden)):
        with pytest.raises(refused):
            async with transaction(directory, actor) as tx:
                await users.approve(tx, user.id)
    async with transaction(directory, owner) as tx:
        assert (await users.approve(tx, user.id)).approved


async def test_with_reach_everywhere_who_signs_up_is_approved_at_once(settings: Settings) -> None:
    everywhere = msgspec.structs.replace(settings, sign_up_reach="everywhere")
    async with open_directory(everywhere) as directory:
        user = await sign_up(directory)
        assert (user.approved, user.signed_up, user.verified) == (True, True, False)
        assert NAME in await listed(directory, await owner_of(directory, user, CLOSED))


async def test_the_first_user_of_a_tenant_is_approved(directory: Directory) -> None:
    new = NewUser(username="first", email="first@example.com")
    user, _ = await sign_in.sign_up(
        directory,
        anonymous_actor(),
        new,
        PASSWORD,
        PasswordRules(),
        CREDENTIAL_FORMAT,
        first_becomes_owner=True,
    )
    assert (user.role, user.approved, user.verified) == (Role.OWNER, True, False)


async def test_who_is_not_approved_sees_no_address_but_its_own(directory: Directory) -> None:
    user = await sign_up(directory)
    await make_user(directory, "mia", tenant_id=user.tenant_id, email="mia@example.com")

    async def emails() -> dict[str, str]:
        read = directory.read(await actor_for(directory, user.id))
        page = await user_lists.list_page(directory, read, Filter(), (Order("id"),), limit=9)
        batches = [batch async for batch in user_lists.iterate(directory, read)]
        seen = {each.username: each.email for each in page.rows}
        assert {each.username: each.email for batch in batches for each in batch} == seen
        for each in page.rows:
            assert (await user_lists.get(read, each.id)).email == seen[each.username]
            found = await user_lists.find(read, public_id=each.public_id)
            assert found.email == seen[each.username]
        return seen

    assert await emails() == {NAME: EMAIL, "mia": ""}
    async with transaction(directory) as tx:
        await users.approve(tx, user.id)
    assert await emails() == {NAME: EMAIL, "mia": "mia@example.com"}
