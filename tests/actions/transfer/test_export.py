"""Exports: who may have one, what is in it, and that it shows one moment."""

from __future__ import annotations

import csv
import io
import json
from contextlib import aclosing
from typing import Any

import pytest

from dragoman.actions import access, groups, permissions, users
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import export
from dragoman.actions.transfer.export import ExportOptions
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, NotFound
from dragoman.rules.model import Access, Role, User
from dragoman.store import directory_rows
from tests.support.databases import audit_rows
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    actor_for,
    insert_users,
    make_tenant,
    make_user,
    transaction,
)

pytestmark = pytest.mark.anyio

EVERYTHING = ExportOptions()


async def exported(
    directory: Directory, options: ExportOptions = EVERYTHING, actor: Actor = SYSTEM_ACTOR
) -> bytes:
    return b"".join([piece async for piece in export.stream(directory, actor, options)])


async def lines(directory: Directory, actor: Actor = SYSTEM_ACTOR, **options: Any) -> list[Any]:
    data = await exported(directory, ExportOptions(**options), actor)
    return [json.loads(line) for line in data.splitlines()]


def names(found: list[Any]) -> list[str]:
    return [line["username"] for line in found if line["type"] == "user"]


async def test_an_export_begins_as_documented_and_counts_its_lines(directory: Directory, mia: User):
    data = await exported(directory)
    assert data.startswith(b'{"type": "dragoman", "format": 1}\n')
    found = [json.loads(line) for line in data.splitlines()]
    assert [line["type"] for line in found[1:]] == ["directory", "tenant", "tenant", "user", "user"]
    assert found[1] == {
        "type": "directory", "tenants": 2, "groups": 0, "users": 2,
        "highest_ids": {"tenants": 2, "groups": 0, "users": 2},
    }  # fmt: skip
    assert found[4]["role"] == "superadmin"
    assert found[4]["tenant"] is None
    user = found[5]
    assert user["id"] == mia.id
    assert user["public_id"] == mia.public_id
    assert (user["tenant"], user["role"]) == ("home", "member")
    assert (user["username"], user["email"]) == ("mia", "mia@example.com")
    assert user["email_verified"] is user["verified"] is True
    assert user["created_at"].endswith("Z")
    assert user["last_login_at"] is None
    assert "password_hash" not in user


async def test_hashes_are_exported_if_asked_for(directory: Directory, mia: User):
    found = await lines(directory, with_hashes=True)
    assert found[-1]["password_hash"].startswith("$argon2id$")


async def test_groups_grants_and_access_come_along(directory: Directory, mia: User):
    assert mia.tenant_id
    async with transaction(directory) as tx:
        team = await groups.create(tx, mia.tenant_id, "Team", [2, 1])
        await groups.add_member(tx, team.group.id, mia.id)
        await permissions.grant(tx, mia.id, [3])
        await access.replace(tx, mia.id, [Access("machines/7", "write")], full_level="")
    found = await lines(directory)
    [group] = [line for line in found if line["type"] == "group"]
    assert (group["tenant"], group["name"]) == ("home", "Team")
    assert group["permissions"] == ["users.view", "users.create"]
    user = found[-1]
    assert user["groups"] == ["Team"]
    assert user["permissions"] == ["users.change"]
    [entry] = user["access"]
    assert (entry["resource"], entry["level"], entry["granted_by"]) == ("machines/7", "write", 0)
    assert user["grants"]["users.change"]["granted_at"] == entry["granted_at"]
    assert entry["granted_at"].endswith("Z")


async def test_all_steps_are_exported_in_the_order_of_ids(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(directory_rows, "STEP", 2)
    for name in ("b", "a", "c"):
        await make_tenant(directory, name)
    async with transaction(directory) as tx:
        await insert_users(tx, [UserRow(username=f"u{n}") for n in (5, 1, 4, 2)])
    found = await lines(directory)
    assert [line["slug"] for line in found if line["type"] == "tenant"] == ["main", "b", "a", "c"]
    assert names(found) == ["admin", "u5", "u1", "u4", "u2"]


async def test_an_export_shows_one_moment(directory: Directory):
    async with aclosing(export.stream(directory, SYSTEM_ACTOR, ExportOptions())) as pieces:
        first = await anext(pieces)
        await make_user(directory, "late", Role.ADMIN)
        rest = b"".join([piece async for piece in pieces])
    assert b'"users":1,' in first
    assert b"late" not in rest


async def test_deleted_users_are_not_exported_and_keep_their_ids(directory: Directory, mia: User):
    async with transaction(directory) as tx:
        await users.delete(tx, mia.id, erase=True)
    found = await lines(directory)
    assert names(found) == ["admin"]
    assert found[1]["highest_ids"]["users"] == mia.id


async def test_a_tenant_alone(directory: Directory, mia: User):
    await make_user(directory, "otto", Role.OWNER, await make_tenant(directory, "other"))
    found = await lines(directory, tenant_id=mia.tenant_id)
    assert [line["slug"] for line in found if line["type"] == "tenant"] == ["home"]
    assert names(found) == ["mia"]
    assert found[1] == {
        "type": "directory", "tenants": 1, "groups": 0, "users": 1, "highest_ids": None,
    }  # fmt: skip


async def test_who_may_export_what(directory: Directory, mia: User):
    owner = await make_user(directory, "olga", Role.OWNER, mia.tenant_id)
    admin = await make_user(directory, "ada", Role.ADMIN)
    other = await make_tenant(directory, "other")
    await make_user(directory, "otto", Role.OWNER, other)
    as_owner, as_admin = await actor_for(directory, owner.id), await actor_for(directory, admin.id)
    assert names(await lines(directory, as_owner)) == ["mia", "olga"]
    assert names(await lines(directory, as_owner, tenant_id=mia.tenant_id)) == ["mia", "olga"]
    assert len(names(await lines(directory, as_admin, with_hashes=True))) == 5
    with pytest.raises(NotFound):
        await lines(directory, as_owner, tenant_id=other)
    for format_name in ("ndjson", "csv"):
        with pytest.raises(Forbidden):
            await lines(directory, as_owner, with_hashes=True, format=format_name)
    with pytest.raises(Forbidden):
        await lines(directory, await actor_for(directory, mia.id))


async def test_an_owner_who_is_not_approved_sees_the_addresses_that_lists_show(
    directory: Directory, mia: User
):
    async with transaction(directory) as tx:
        row = UserRow(
            username="sign", email="sign@up.test", role=Role.OWNER, tenant_id=mia.tenant_id,
            approved=False,
        )  # fmt: skip
        [user_id] = await insert_users(tx, [row])
    found = await lines(directory, await actor_for(directory, user_id))
    assert [line["email"] for line in found if line["type"] == "user"] == ["", "sign@up.test"]


async def test_every_export_is_in_the_history(directory: Directory, database: str, mia: User):
    await lines(directory)
    await lines(directory, tenant_id=mia.tenant_id, with_hashes=True)
    whole, tenant = (await audit_rows(database))[-2:]
    assert (whole.action, whole.target_kind, whole.target_id) == ("users.export", "directory", 0)
    assert whole.fields == ""
    assert (tenant.target_kind, tenant.target_id) == ("tenant", mia.tenant_id)
    assert tenant.fields == "password_hash"


async def table(directory: Directory, **options: Any) -> list[list[str]]:
    data = await exported(directory, ExportOptions(format="csv", **options))
    assert data.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


async def test_a_table_has_a_mark_and_no_formulas(directory: Directory, mia: User):
    bio = '=HYPERLINK("https://evil.test")'
    await make_user(directory, "eve", Role.MEMBER, mia.tenant_id, phone="+49 30 1", bio=bio)
    header, *rows = await table(directory)
    assert header[:2] == ["dragoman:1", "id"]
    assert "password_hash" not in header
    [eve] = [dict(zip(header, row, strict=True)) for row in rows if row[5] == "eve"]
    assert eve["dragoman:1"] == "user"
    assert eve["phone"] == "'+49 30 1"
    assert eve["bio"] == f"'{bio}"
    assert (eve["active"], eve["last_login_at"], eve["tenant"]) == ("true", "", "home")


async def test_a_raw_table_has_no_mark_and_leaves_cells_as_they_are(
    directory: Directory, mia: User
):
    await make_user(directory, "eve", Role.MEMBER, mia.tenant_id, phone="+49 30 1")
    header, *_, eve = await table(directory, raw=True, with_hashes=True)
    assert (header[0], header[-1]) == ("id", "password_hash")
    assert eve[header.index("phone")] == "+49 30 1"
    assert eve[-1].startswith("$argon2id$")


async def test_lists_of_a_table_have_a_line_for_each_entry(directory: Directory, mia: User):
    async with transaction(directory) as tx:
        await permissions.grant(tx, mia.id, [1, 3])
        await access.replace(
            tx, mia.id, [Access("machines/7", "write"), Access("x", "read")], full_level=""
        )
    header, *_, row = await table(directory)
    cells = dict(zip(header, row, strict=True))
    assert cells["permissions"] == "users.view\nusers.change"
    assert cells["access"] == "machines/7 write\nx read"
