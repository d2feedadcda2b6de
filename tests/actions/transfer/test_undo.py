"""Undoing an import: the directory is as before, and nobody loses what was done since."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import export, undo, writing
from dragoman.actions.transfer.export import ExportOptions
from dragoman.actions.transfer.undo import UndoResult
from dragoman.jobs import background
from dragoman.rules.errors import NotFound
from dragoman.rules.model import Role, UserChanges
from dragoman.rules.vocabulary import AuditAction
from dragoman.settings import Settings
from dragoman.store import audit, imports
from dragoman.store import tenants as tenant_store
from dragoman.store import users as user_store
from dragoman.store.user_lists import counters
from tests.actions.transfer.imports import begin, import_rows, rows_of, shown, write
from tests.support.people import SYSTEM_ACTOR, actor_for, make_tenant, make_user, transaction
from tests.support.rows import Dump, open_rows

pytestmark = pytest.mark.anyio
KEPT = {"audit", "imports", "import_rows", "counts"}
"""Tables that remember what was."""


async def dump(settings: Settings) -> Dump:
    """Return the rows of all other tables, without the epochs of users."""
    connection = await open_rows(settings.database)
    try:
        found = await connection.dump()
    finally:
        await connection.close()
    for row in found["users"].values():
        del row["auth_epoch"]
    return {name: rows for name, rows in found.items() if name not in KEPT}


async def exported(directory: Directory) -> bytes:
    options = ExportOptions(with_hashes=True)
    return b"".join([piece async for piece in export.stream(directory, SYSTEM_ACTOR, options)])


async def undo_last(directory: Directory, *, force: bool = False) -> UndoResult:
    [newest, *_] = await undo.list_imports(directory, SYSTEM_ACTOR)
    return await undo.undo(directory, SYSTEM_ACTOR, newest.public_id, force=force)


async def test_everything_is_as_before(directory: Directory, settings: Settings) -> None:
    acme = await make_tenant(directory, "acme")
    await make_tenant(directory, "globex")
    ann = await make_user(directory, "ann", tenant_id=acme, email="ann@acme.test")
    async with transaction(directory) as tx:
        await users.set_active(tx, ann.id, active=False)
    before, exported_before = await dump(settings), await exported(directory)
    rows = rows_of(
        {"username": "ann", "email": "ann@new.test", "phone": "1", "tenant": "globex",
         "password_hash": "$2b$04$x", "active": True, "role": Role.OWNER},
        {"username": "bob", "email": "bob@acme.test", "tenant": "acme", "id": 4_000},
        {"username": "cem", "tenant": "newcomers", "role": Role.OWNER},
        {"username": "dan", "role": Role.OWNER},
    )  # fmt: skip
    options: dict[str, Any] = {"create_tenants": True, "on_conflict": "update"}
    outcomes = await import_rows(directory, rows, replace_passwords=True, **options)
    assert shown(outcomes) == ["updated", "created", "created", "created"]
    assert await tenant_store.find_by_slug(directory.read(SYSTEM_ACTOR), "newcomers")
    result = await undo_last(directory)
    assert (result.removed, result.restored, result.left) == (3, 1, 0)
    assert await dump(settings) == before
    assert await exported(directory) == exported_before
    read = directory.read(SYSTEM_ACTOR)
    assert await counters.differences(read) == {}
    home = await directory.home_tenant_id()
    assert not await counters.had_users(read, home)
    [entry] = [e for e in await audit.list_latest(read) if e.action == AuditAction.UNDO_IMPORT]
    assert entry.target_kind == "import"
    again = await import_rows(directory, rows, digest="again", **options, replace_passwords=True)
    assert shown(again) == ["updated", "created", "created", "created"]


async def test_who_has_signed_in_or_was_changed_is_left(directory: Directory) -> None:
    names = ("ann", "bob", "cem", "dan")
    outcomes = await import_rows(directory, rows_of(*({"username": name} for name in names)))
    ann, bob, cem, dan = (each.user_id for each in outcomes)
    async with transaction(directory) as tx:
        await users.update(tx, ann, UserChanges(phone="1"))
    async with transaction(directory) as tx:
        user_store.record_sign_in(tx, bob)
    async with transaction(directory) as tx:
        await users.delete(tx, cem, erase=False)
    result = await undo_last(directory)
    assert {each.username: each.reason for each in result.left_people} == {
        "ann": "changed", "bob": "signed_in",
    }  # fmt: skip
    assert (result.removed, result.left) == (2, 2)
    assert await user_store.find(directory.read(SYSTEM_ACTOR), dan) is None
    result = await undo_last(directory, force=True)
    assert (result.removed, result.left) == (2, 0)
    assert await user_store.find(directory.read(SYSTEM_ACTOR), ann) is None


async def test_former_values_are_kept_for_a_while(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_user(directory, "ann", tenant_id=await directory.home_tenant_id())
    rows = rows_of({"username": "ann", "phone": "1"})
    await import_rows(directory, rows, on_conflict="update")
    assert await background.purge_former_values(directory) == 0
    monkeypatch.setattr(background, "FORMER_RETENTION", -1_000_000)
    assert await background.purge_former_values(directory) == 1
    result = await undo_last(directory)
    assert [each.reason for each in result.left_people] == ["expired"]


async def test_what_is_undone_is_not_written_on(directory: Directory) -> None:
    run = await begin(directory)
    first, second = rows_of({"username": "ann"}, {"username": "bob"})
    await write(directory, run, [first])
    await undo_last(directory)
    with pytest.raises(writing.Superseded):
        await write(directory, run, [second])


async def test_owners_undo_their_own_imports_only(directory: Directory) -> None:
    acme, globex = await make_tenant(directory, "acme"), await make_tenant(directory, "globex")
    olga = await make_user(directory, "olga", Role.OWNER, tenant_id=acme, email="olga@acme.test")
    gil = await make_user(directory, "gil", Role.OWNER, tenant_id=globex, email="gil@globex.test")
    as_olga, as_gil = await actor_for(directory, olga.id), await actor_for(directory, gil.id)
    rows = rows_of({"username": "ann"}, {"username": "bob", "tenant": "globex"})
    outcomes = await import_rows(directory, rows, actor=as_olga)
    assert shown(outcomes) == ["created", "unknown_tenant"]
    [record] = await imports.list_latest(directory.read(SYSTEM_ACTOR))
    assert await undo.list_imports(directory, as_gil) == []
    with pytest.raises(NotFound):
        await undo.undo(directory, as_gil, record.public_id)
    assert (await undo.undo(directory, as_olga, record.public_id)).removed == 1
