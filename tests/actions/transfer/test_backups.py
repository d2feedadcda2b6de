"""A backup restores into either database, and nothing that had ended by then lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dragoman import app, dialects
from dragoman.actions import erasure, invitations, user_lists, users
from dragoman.actions.steps import erasure_ledger
from dragoman.actions.system import system_actor
from dragoman.rules.model import Filter, Order, Role
from dragoman.store import grants
from dragoman.store.schema import metadata
from dragoman.store.snapshot import NOT_IN_BACKUPS, TABLES
from dragoman.store.snapshot_load import HELD, ID_JUMP
from dragoman.store.user_lists import counters
from tests.support import user_requests
from tests.support.databases import (
    BACKENDS,
    DatabaseTemplates,
    erasures_path,
    query,
    settings_for,
)
from tests.support.people import PASSWORD, actor_for, make_user
from tests.support.running_app import running_client
from tests.support.terminal import Terminal
from tests.support.world import World

pytestmark = pytest.mark.anyio

BY_NAME = (Order("username"),)
EPOCHS = {"auth_epoch", "generation"}


@pytest.fixture(params=BACKENDS)
def target(request: pytest.FixtureRequest, database_templates: DatabaseTemplates) -> Iterator[str]:
    """The URL of an empty database of each kind in turn."""
    with database_templates.blank(request.param) as url:
        yield url


def back_up(database: str, path: Path) -> None:
    done = Terminal(database, path.parent).run("backup", str(path))
    assert done.exit_code == 0, done.stderr


def restore(target: str, path: Path, *options: str) -> str:
    done = Terminal(target, path.parent).run("restore", str(path), *options)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    return done.stderr


async def fill(database: str, world: World) -> None:
    """Add what the world lacks: tombstones, an erased person, invitations, waiting mails."""
    settings = settings_for(database)
    async with app.open_directory(settings) as directory:
        home = world.tenants["acme"].id
        kept = await make_user(directory, "kept", tenant_id=home, email="kept@acme.test", bio="Ωé")
        gone = await make_user(directory, "gone", tenant_id=home, email="gone@acme.test")
        async with directory.begin(system_actor("tests")) as tx:
            await users.delete(tx, kept.id, erase=False)
            await erasure.erase(tx, gone.id)
        olga = await actor_for(directory, world.people["olga"].id)
        async with directory.begin(olga) as tx:
            await invitations.invite(tx, email="new@acme.test", name="New", role=Role.MEMBER)
        async with directory.begin(system_actor("tests")) as tx:
            await grants.add(tx, world.people["mia"].id, [1, 2])


async def rows(database: str, table: str) -> list[dict[str, Any]]:
    names = [column.name for column in metadata.tables[table].columns]
    keys = ", ".join(column.name for column in metadata.tables[table].primary_key)
    statement = f'SELECT {", ".join(names)} FROM "{table}" ORDER BY {keys}'
    found = await query(database, statement)
    return [
        {name: int(v) if isinstance(v, bool) else v for name, v in zip(names, row, strict=True)}
        for row in found
    ]


def as_restored(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as it has to be after a restore."""
    moved = {name: value + ID_JUMP for name, value in row.items() if name in EPOCHS}
    if table == "outbox" and not row["sent_at"] and not row["failed_at"]:
        moved |= {"failed_at": "now", "last_error": HELD}
    return row | moved


async def test_every_row_arrives(
    seeded_database: tuple[str, World], target: str, tmp_path: Path
) -> None:
    database, world = seeded_database
    await fill(database, world)
    before = {table.name: await rows(database, table.name) for table in TABLES}
    assert all(before[name] for name in ("outbox", "invitations", "grants", "erasures", "audit"))
    await asyncio.to_thread(back_up, database, tmp_path / "backup")
    said = await asyncio.to_thread(restore, target, tmp_path / "backup", "--no-erasures")
    assert "Restored" in said
    assert "1 waiting mail held back" in said
    assert "The server key is the one of this backup" in said
    for table in TABLES:
        expected = [as_restored(table.name, row) for row in before[table.name]]
        found = await rows(target, table.name)
        if table.name == "server_state":  # it is another directory, with an id of its own
            expected = [row for row in expected if row["key"] not in {"instance", "listening"}]
        if table.name == "audit":
            assert found.pop()["action"] == "backups.restore"
        if table.name == "outbox":
            found = [{**row, "failed_at": row["failed_at"] and "now"} for row in found]
        assert found == expected, table.name
    for name in NOT_IN_BACKUPS:
        assert await rows(target, name) == []


async def test_what_had_been_given_out_is_dead_and_the_rest_works(
    seeded_database: tuple[str, World], target: str, tmp_path: Path
) -> None:
    database, world = seeded_database
    await asyncio.to_thread(back_up, database, tmp_path / "backup")
    await asyncio.to_thread(restore, target, tmp_path / "backup", "--no-erasures")
    root = world.people["root"]
    async with running_client(settings_for(target)) as client:
        for contract in dialects.NAMES:
            request = user_requests.delete(contract, world.people["mia"])
            answer = await client.request(
                request.method,
                user_requests.url_of(contract, request.path),
                headers=user_requests.headers_of(contract, root.tokens[contract]),
            )
            assert answer.status_code == 401, (contract, answer.text)
            request = user_requests.sign_in(contract, "mia@acme.test", PASSWORD)
            answer = await client.post(
                user_requests.url_of(contract, request.path), json=request.body
            )
            assert answer.is_success, answer.text
    async with app.open_directory(settings_for(target)) as directory:
        read = directory.read(system_actor("tests"))
        assert await counters.differences(read) == {}
        page = await user_lists.list_page(
            directory, read, Filter(words=("marsh",)), BY_NAME, limit=9
        )
        assert [user.username for user in page.rows] == ["mia"]
        new = await make_user(directory, "new", tenant_id=world.tenants["acme"].id)
        assert new.id > ID_JUMP, "the backup does not know the ids that were given since"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_who_was_erased_since_is_erased_again(
    seeded_database: tuple[str, World], target: str, tmp_path: Path
) -> None:
    database, world = seeded_database
    await asyncio.to_thread(back_up, database, tmp_path / "backup")
    mia, root = world.people["mia"], world.people["root"]
    async with app.open_directory(settings_for(database)) as directory:
        await make_user(directory, "later", Role.SUPERADMIN)  # so that root is not the last one
        async with directory.begin(system_actor("tests")) as tx:
            for user_id in (mia.id, root.id):
                await erasure.erase(tx, user_id)
    ledger = str(erasures_path(database))
    said = await asyncio.to_thread(restore, target, tmp_path / "backup", "--erasures", ledger)
    assert "2 people erased again" in said
    assert "There is no active superadmin" in said
    for person in (mia, root):
        [found] = [row for row in await rows(target, "users") if row["id"] == person.id]
        assert found["username"] == found["email"] == found["password_hash"] == ""
    erased = {row["public_id"] for row in await rows(target, "erasures")}
    assert erased == {mia.public_id, root.public_id}
    assert erasure_ledger.public_ids(erasures_path(target)) == erased, "for the next restore"
