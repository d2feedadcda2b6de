"""An exported directory, loaded into an empty one: the same bytes come out again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dragoman.actions import access, groups, permissions, sign_in, user_lists
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import whole_directory
from dragoman.actions.transfer.directory_format import HEADER
from dragoman.actions.transfer.records import FileProblem, Tally
from dragoman.actions.transfer.run import Reporter, RunOptions, WholeDirectory
from dragoman.rules.errors import Forbidden
from dragoman.rules.model import Access, Filter, Role, User
from dragoman.store import directory_load, migrate, users
from dragoman.store.schema import metadata
from dragoman.store.user_lists import counters
from tests.actions.transfer.directories import (
    Problems,
    empty,
    exported,
    exported_directories,
    loaded,
    run,
)
from tests.support.databases import BACKENDS, DatabaseTemplates, query
from tests.support.people import (
    CREDENTIAL_FORMAT,
    SYSTEM_ACTOR,
    actor_for,
    anonymous_actor,
    make_tenant,
    make_user,
    transaction,
    usernames,
)
from tests.support.world import World


@pytest.fixture(scope="module")
def empty_databases(database_templates: DatabaseTemplates) -> Iterator[dict[str, str]]:
    """A migrated database of each kind, without a row; by the name of the kind."""
    with database_templates.blank("sqlite") as sqlite, database_templates.blank("postgresql") as pg:
        databases: dict[str, str] = {"sqlite": sqlite, "postgresql": pg}
        for url in databases.values():
            run_migration(url)
        yield databases


def run_migration(url: str) -> None:
    asyncio.run(migrate.upgrade(url))


@pytest.mark.parametrize(
    ("source", "target"), [BACKENDS, BACKENDS[::-1]], ids=["from sqlite", "from postgresql"]
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=exported_directories())
def test_export_import_export_gives_the_same_bytes(
    data: bytes, source: str, target: str, empty_databases: dict[str, str], tmp_path: Path
):
    async def load_and_export(directory: Directory, given: bytes) -> dict[str, Any]:
        await empty(directory)
        problems = Problems()
        await loaded(directory, given, tmp_path, reporter=problems)
        assert problems.found == []
        assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
        return {
            "whole": await exported(directory, with_hashes=True),
            "without hashes": await exported(directory),
            "table": await exported(directory, format="csv", with_hashes=True),
        }

    first = run(empty_databases[source], lambda d: load_and_export(d, data))
    assert first["whole"] == data
    second = run(empty_databases[target], lambda d: load_and_export(d, first["whole"]))
    assert second == first
    third = run(empty_databases[target], lambda d: load_and_export(d, first["without hashes"]))
    assert third["without hashes"] == first["without hashes"]


@pytest.fixture(params=BACKENDS)
def target(request: pytest.FixtureRequest, empty_databases: dict[str, str]) -> str:
    """The URL of each empty database in turn."""
    database = empty_databases[request.param]
    run(database, empty)
    return database


def test_every_row_is_as_it_was(seeded_database: tuple[str, World], target: str, tmp_path: Path):
    """But those of what is no part of an export: credentials, history, epochs."""
    source, people = seeded_database

    async def leave_traces(directory: Directory) -> bytes:
        async with transaction(directory) as tx:
            acme = people.tenants["acme"].id
            team = await groups.create(tx, acme, "Team", [1, 4])
            await groups.add_member(tx, team.group.id, people.people["mia"].id)
            await permissions.grant(tx, people.people["mia"].id, [2])
            await access.replace(tx, people.people["mia"].id, [Access("m1", "read")], full_level="")
            gone = await groups.create(tx, acme, "Gone")
            await groups.delete(tx, gone.group.id)
        return await exported(directory, with_hashes=True)

    data = run(source, leave_traces)
    result = run(target, lambda directory: loaded(directory, data, tmp_path))
    assert result.whole == WholeDirectory(tenants=3, groups=1)
    assert result.tally.created == 9
    assert result.tally.hashes == {"argon2id": 9}
    before, after = asyncio.run(rows_of(source)), asyncio.run(rows_of(target))
    assert before == after


async def rows_of(database: str) -> dict[str, Any]:
    """Return the rows that an export has, by table; of the counters, what they count."""
    tables = ("tenants", "users", "names", "groups", "group_permissions", "group_members",
              "grants", "access", "permissions")  # fmt: skip
    found: dict[str, Any] = {}
    for name in tables:
        columns = [column.name for column in metadata.tables[name].c if column.name != "auth_epoch"]
        rows = await query(database, f"SELECT {', '.join(columns)} FROM {name}")
        found[name] = sorted(
            (tuple(int(cell) if isinstance(cell, bool) else cell for cell in row) for row in rows),
            key=repr,
        )
    counted = "SELECT tenant_id, role, active, approved, sum(n) FROM counts WHERE n <> 0 "
    rows = await query(database, f"{counted} GROUP BY tenant_id, role, active, approved")
    found["counts"] = sorted(tuple(map(int, row)) for row in rows)
    return found


def test_people_sign_in_with_the_passwords_that_they_had(
    seeded_database: tuple[str, World], target: str, tmp_path: Path
):
    source, people = seeded_database
    data = run(source, lambda directory: exported(directory, with_hashes=True))

    async def sign_in_and_search(directory: Directory) -> None:
        await loaded(directory, data, tmp_path)
        user, _ = await sign_in.sign_in(
            directory, anonymous_actor(), "mia", people.people["mia"].password, CREDENTIAL_FORMAT
        )
        assert user.id == people.people["mia"].id
        page = await user_lists.list_page(
            directory, directory.read(SYSTEM_ACTOR), Filter(words=("marsh",)), (), limit=9
        )
        assert usernames(page.rows) == ["mia"]

    run(target, sign_in_and_search)


def test_ids_of_the_deleted_are_not_given_out_again(target: str, tmp_path: Path):
    data = (
        FILE
        % b'{"type":"directory","tenants":1,"groups":0,"users":1,"highest_ids":{"users":40,"groups":7,"tenants":9}}'
    )

    async def grow(directory: Directory) -> tuple[int, int, int]:
        await loaded(directory, data, tmp_path)
        tenant_id = await make_tenant(directory, "next")
        async with transaction(directory) as tx:
            group = await groups.create(tx, tenant_id, "Team")
        user = await make_user(directory, "next", tenant_id=tenant_id)
        return tenant_id, group.group.id, user.id

    assert run(target, grow) == (10, 8, 41)


RUN_OPTIONS = RunOptions(source_name="file", digest="")
FILE = (
    HEADER
    + b'%b\n{"type":"tenant","id":3,"public_id":"p","slug":"acme","name":"Acme"}\n'
    + b'{"type":"user","id":5,"public_id":"23456789ABCDEFGHJ","username":"ann","role":"superadmin","tenant":"acme"}\n'
)


def test_a_load_that_ends_midway_leaves_nothing_and_can_be_repeated(target: str, tmp_path: Path):
    class Killed(Reporter):
        def advance(self, position: int, tally: Tally) -> None:
            raise KeyboardInterrupt

    async def state(directory: Directory) -> bool:
        return await directory_load.is_empty(directory.read(SYSTEM_ACTOR))

    data = FILE % b""
    with pytest.raises(KeyboardInterrupt):
        run(target, lambda directory: loaded(directory, data, tmp_path, reporter=Killed()))
    assert run(target, state)
    assert run(target, lambda d: loaded(d, data, tmp_path)).tally.created == 1
    assert not run(target, state)


def test_a_dry_run_changes_nothing(target: str, tmp_path: Path):
    async def plan(directory: Directory) -> None:
        result = await loaded(directory, FILE % b"", tmp_path, dry_run=True)
        assert result.tally.created == 1
        assert await directory_load.is_empty(directory.read(SYSTEM_ACTOR))

    run(target, plan)


def test_a_file_by_hand_may_leave_out_what_has_a_default(target: str, tmp_path: Path):
    data = (
        HEADER
        + b'{"type":"tenant","slug":"a","name":"A"}\n\n{"type":"user","username":" ann ","tenant":"a","role":"owner","password_hash":"!"}\r\n'
    )

    async def load(directory: Directory) -> User | None:
        await loaded(directory, data, tmp_path)
        return await users.find_by_login_name(directory.read(SYSTEM_ACTOR), "ann")

    user = run(target, load)
    assert (user.id, user.tenant_id, user.role, user.username) == (1, 1, Role.OWNER, "ann")
    assert user.created_at
    assert len(user.public_id) == 17


@pytest.mark.anyio
async def test_it_is_for_directories_that_never_had_anybody(
    directory: Directory, mia: User, tmp_path: Path
):
    path = tmp_path / "directory.ndjson"
    path.write_bytes(FILE % b"")
    assert not await whole_directory.applies(directory, SYSTEM_ACTOR, path)
    with pytest.raises(FileProblem, match="new database"):
        await loaded(directory, FILE % b"", tmp_path)
    with pytest.raises(Forbidden):
        await whole_directory.load(
            directory, await actor_for(directory, mia.id), path, RUN_OPTIONS, Reporter()
        )


def test_it_is_for_exports_only(target: str, tmp_path: Path):
    path = tmp_path / "file"

    async def applies(directory: Directory) -> list[bool]:
        answers: list[bool] = []
        for data in (
            FILE % b"",
            b"\xef\xbb\xbf" + HEADER,
            b"",
            b"[1]",
            b'{"type":"user"}',
            b"\x00",
        ):
            path.write_bytes(data)
            answers.append(await whole_directory.applies(directory, SYSTEM_ACTOR, path))
        return answers

    assert run(target, applies) == [True, True, False, False, False, False]
