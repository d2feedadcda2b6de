"""A deleted user leaves a tombstone: it is invisible, its names are available, its id is not."""

from __future__ import annotations

import pytest

from dragoman.actions import password_resets, sign_in, tokens, user_lists, users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import BadCredentials, NotFound, Unauthenticated
from dragoman.rules.model import Filter, Order, Role
from dragoman.store import users as rows
from tests.support.databases import query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    PASSWORD,
    SYSTEM_ACTOR,
    anonymous_actor,
    make_tenant,
    make_user,
    present_credential,
    transaction,
    usernames,
)

pytestmark = pytest.mark.anyio

BY_NAME = (Order("username"),)


async def delete(directory: Directory, user_id: int, *, erase: bool = True) -> None:
    async with transaction(directory) as tx:
        await users.delete(tx, user_id, erase=erase)


async def test_login_names_are_available_again(directory: Directory):
    first = await make_user(directory, "Zoë", Role.ADMIN, email="zoe@example.com")
    await delete(directory, first.id)
    again = await make_user(directory, "zoë", Role.ADMIN, email="ZOE@example.com")
    assert again.id > first.id
    assert again.public_id != first.public_id


async def test_an_id_is_never_reused(directory: Directory):
    ids: list[int] = []
    for turn in range(3):
        user = await make_user(directory, f"turn{turn}", Role.ADMIN)
        ids.append(user.id)
        await delete(directory, user.id)  # the newest row, whose id SQLite would reuse
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("erase", [True, False])
async def test_it_is_invisible_everywhere(directory: Directory, erase: bool):
    home = await make_tenant(directory, "home")
    gone = await make_user(directory, "gone", tenant_id=home, email="gone@example.com")
    await make_user(directory, "stays", tenant_id=home)
    presented = await present_credential(directory, gone.id)
    await delete(directory, gone.id, erase=erase)
    read = directory.read(SYSTEM_ACTOR)

    with pytest.raises(NotFound):
        await user_lists.get(read, gone.id)
    assert await rows.find_by_public_id(read, gone.public_id) is None
    assert await rows.find_by_login_name(read, "gone") is None
    assert await rows.find_by_login_name(read, "gone@example.com") is None
    for words in ((), ("gone",), ("go",)):
        wanted = Filter(tenant_id=home, words=words)
        found = await user_lists.list_page(directory, read, wanted, BY_NAME, limit=10)
        assert "gone" not in usernames(found.rows)
        assert found.count == len(found.rows)
    async with transaction(directory) as tx:
        for act in (
            users.delete(tx, gone.id, erase=True),
            users.set_active(tx, gone.id, active=True),
            users.assign_role(tx, gone.id, Role.OWNER),
            tokens.issue(tx, directory, gone.id, CREDENTIAL_FORMAT),
        ):
            with pytest.raises(NotFound):
                await act
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(directory, presented)
    with pytest.raises(BadCredentials):
        await sign_in.sign_in(directory, anonymous_actor(), "gone", PASSWORD, CREDENTIAL_FORMAT)


@pytest.mark.parametrize("erase", [True, False])
async def test_erasing_blanks_every_personal_field_and_nothing_else_does(
    directory: Directory, database: str, erase: bool
):
    home = await make_tenant(directory, "home")
    given = {
        "email": "vera@example.com", "first_name": "Vera", "last_name": "Vogel",
        "display_name": "V. Vogel", "phone": "+49 30 1", "bio": "a life", "url": "https://v.test",
        "company": "Vogel & Sohn", "location": "Berlin",
    }  # fmt: skip
    vera = await make_user(directory, "vera", tenant_id=home, **given)
    await delete(directory, vera.id, erase=erase)
    columns = ["username", "username_key", "email_key", *given]
    (row,) = await query(database, f"SELECT {', '.join(columns)} FROM users WHERE id = {vera.id}")
    left = dict(zip(columns, row, strict=True))
    if erase:
        assert set(left.values()) == {""}
    else:
        assert left == {
            **given,
            "username": "vera",
            "username_key": "vera",
            "email_key": "vera@example.com",
        }
    (secret,) = await query(
        database, f"SELECT search, password_hash FROM users WHERE id = {vera.id}"
    )
    assert secret == ("", "")


async def test_grants_and_tokens_are_deleted(directory: Directory, database: str):
    home = await make_tenant(directory, "home")
    gone = await make_user(directory, "gone", tenant_id=home, email="gone@example.com")
    await present_credential(directory, gone.id)
    await sign_in.sign_in(directory, anonymous_actor(), "gone", PASSWORD, CREDENTIAL_FORMAT)
    await password_resets.request_reset(directory, anonymous_actor(), "gone@example.com")
    kept = ("tokens", "one_time", "outbox", "addresses", "names")
    for table in kept:
        assert await query(database, f"SELECT 1 FROM {table} WHERE user_id = {gone.id}"), table
    await delete(directory, gone.id)
    for table in (*kept, "grants", "group_members", "access"):
        assert not await query(database, f"SELECT 1 FROM {table} WHERE user_id = {gone.id}"), table
