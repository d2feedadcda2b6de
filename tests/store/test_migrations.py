"""Migrations lead to the tables of ``store/schema.py`` and back, and run only once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from dragoman.rules.errors import Unavailable
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import migrate
from dragoman.store.drivers import postgres, sqlite_library
from dragoman.store.drivers.sqlite import connect
from dragoman.store.schema import metadata
from tests.support.databases import ADMIN_PASSWORD, SECRET_KEY, query

pytestmark = pytest.mark.anyio

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
NOT_IN_METADATA = "users_search"
"""The full-text table of SQLite (with its own tables) and the trigram index of PostgreSQL."""


def _counts(name: str | None, kind: str) -> bool:
    return not (kind in {"table", "index"} and (name or "").startswith(NOT_IN_METADATA))


def _differences(connection: sa.Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "include_name": lambda name, kind, _: _counts(name, kind),
            "include_object": lambda _, name, kind, *__: _counts(name, kind),
        },
    )
    return compare_metadata(context, metadata)


async def differences(database: str) -> list[Any]:
    """Return how a database differs from ``store/schema.py``."""
    if database.startswith("sqlite:///"):
        path = Path(database.removeprefix("sqlite:///"))
        engine = sa.create_engine(
            "sqlite://",
            module=sqlite_library.dbapi,
            creator=lambda: sqlite_library.describe_results(connect(path)),
        )
        with engine.connect() as connection:
            found = _differences(connection)
        engine.dispose()
        return found

    async def make() -> Any:
        return await asyncpg.connect(database)

    online = create_async_engine("postgresql+asyncpg://", async_creator=make)
    async with online.connect() as connection:
        found = await connection.run_sync(_differences)
    await online.dispose()
    return found


async def tables(database: str) -> set[str]:
    """Return the names of all tables."""
    if database.startswith("sqlite:///"):
        statement = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    else:
        statement = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return {row[0] for row in await query(database, statement)}


async def test_the_tables_are_those_of_the_schema(blank_database: str):
    await migrate.upgrade(blank_database)
    assert await differences(blank_database) == []
    assert await migrate.current_revision(blank_database) == migrate.HEAD_REVISION


async def test_the_comparison_sees_a_column_that_is_missing(database: str):
    extra = sa.Column("nobody_knows_it", sa.Integer())
    table = metadata.tables["permissions"]
    table.append_column(extra)
    try:
        assert await differences(database)
    finally:
        table._columns.remove(extra)
    assert await differences(database) == []


async def test_down_to_nothing_and_up_again(blank_database: str):
    await migrate.upgrade(blank_database)
    before = await tables(blank_database)
    assert {"users", "tenants", "audit", "counts"} <= before
    await migrate.downgrade(blank_database, "base")
    assert await tables(blank_database) == {"alembic_version"}
    assert await migrate.current_revision(blank_database) == ""
    await migrate.upgrade(blank_database)
    assert await tables(blank_database) == before
    assert await differences(blank_database) == []


@only_postgresql
async def test_every_text_of_postgresql_is_sorted_by_its_code_points(database: str):
    rows = await query(
        database,
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text' AND table_name <> 'alembic_version' "
        "AND collation_name IS DISTINCT FROM 'C'",
    )
    assert rows == []


def test_head_is_the_newest_script():
    scripts = ScriptDirectory(str(migrate.SCRIPT_LOCATION))
    assert scripts.get_heads() == [migrate.HEAD_REVISION]


START = """
import asyncio, sys
from dragoman import app
from dragoman.settings import Settings
settings = Settings(
    database=sys.argv[1], secret_key=bytes.fromhex(sys.argv[2]), admin_password=sys.argv[3]
)
print("ready", flush=True)
sys.stdin.readline()
welcome = asyncio.run(app.migrate_and_bootstrap(settings))
print("first" if welcome else "later")
"""


async def test_three_nodes_that_start_at_once_migrate_once(blank_database: str):
    arguments = [blank_database, SECRET_KEY.hex(), ADMIN_PASSWORD]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said: list[tuple[str, str]] = []
    try:
        for node in nodes:
            assert node.stdout is not None
            assert node.stdout.readline() == "ready\n"
        for node in nodes:
            assert node.stdin is not None
            node.stdin.write("go\n")
            node.stdin.flush()
    finally:
        said.extend(node.communicate(timeout=60) for node in nodes)
    assert [node.returncode for node in nodes] == [0, 0, 0], said
    assert sorted(out.strip() for out, _ in said) == ["first", "later", "later"]
    assert await query(blank_database, "SELECT version_num FROM alembic_version") == [
        (migrate.HEAD_REVISION,)
    ]
    assert len(await query(blank_database, "SELECT 1 FROM users")) == 1
    assert len(await query(blank_database, "SELECT 1 FROM tenants")) == 1


START_THREE_TIMES = """
import asyncio, sys
from dragoman.store import migrate

async def main():
    await asyncio.gather(*(migrate.upgrade(sys.argv[1]) for _ in range(3)))

asyncio.run(main())
"""


async def test_tasks_of_one_process_that_migrate_at_once_migrate_once(blank_database: str):
    try:
        ended = subprocess.run(
            [sys.executable, "-c", START_THREE_TIMES, blank_database],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail("they wait for each other for ever", pytrace=False)
    assert ended.returncode == 0, ended.stderr
    assert await migrate.current_revision(blank_database) == migrate.HEAD_REVISION
    assert await differences(blank_database) == []


@contextlib.asynccontextmanager
async def hold_in_other_transaction(database: str, statement: str) -> AsyncIterator[None]:
    """Hold the locks of a statement in another transaction."""
    connection: Any = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield
    finally:
        await connection.close()


async def with_short_timeout(database: str, setting: str) -> None:
    """Set a timeout of 200 ms for the database, as an operator may for requests."""
    name = database.rpartition("/")[2]
    await query(database, f"ALTER DATABASE \"{name}\" SET {setting} = '200ms'")


@only_postgresql
@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_a_node_waits_for_the_migrating_one_despite_short_timeouts(
    blank_database: str, setting: str
):
    await with_short_timeout(blank_database, setting)
    async with hold_in_other_transaction(
        blank_database, f"SELECT pg_advisory_xact_lock({migrate.ADVISORY_LOCK_KEY})"
    ):
        waiting = asyncio.create_task(migrate.upgrade(blank_database))
        done, _ = await asyncio.wait({waiting}, timeout=1.5)
        assert not done, waiting.exception()
    await asyncio.wait_for(waiting, 30)
    assert await migrate.current_revision(blank_database) == migrate.HEAD_REVISION


@only_postgresql
async def test_the_wait_for_a_locked_table_is_limited(
    blank_database: str, monkeypatch: pytest.MonkeyPatch
):
    """It is longer than that of a request, but queries queue behind it, so it must end."""
    await migrate.upgrade(blank_database, "0003")
    await with_short_timeout(blank_database, "lock_timeout")
    held = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"
    async with hold_in_other_transaction(blank_database, held):
        waiting = asyncio.create_task(migrate.upgrade(blank_database))
        done, _ = await asyncio.wait({waiting}, timeout=1.5)
        assert not done, waiting.exception()
    await asyncio.wait_for(waiting, 30)
    assert await migrate.current_revision(blank_database) == migrate.HEAD_REVISION

    await migrate.downgrade(blank_database, "0003")
    monkeypatch.setattr(postgres, "LONG_LOCK_MS", 700)
    began = time.monotonic()
    async with hold_in_other_transaction(blank_database, held):
        with pytest.raises(Unavailable) as raised:
            await asyncio.wait_for(migrate.upgrade(blank_database), 10)
    assert time.monotonic() - began >= 0.7
    assert "lock timeout" in str(raised.value.__cause__), "the command line says why"
    assert await migrate.current_revision(blank_database) == "0003"


_AUDIT_COLUMNS = "at, actor_kind, contract, action, target_kind, target_id"
_AUDIT_ROWS = ", ".join(
    f"(1, 'visitor', 'tests', '{action}', 'user', {number})"
    for number, action in enumerate(("sign_in", "users.update", "accept_invitation", "refresh"))
)


async def write(database: str, statement: str) -> None:
    """Run a statement that changes rows."""
    if not database.startswith("sqlite:///"):
        await query(database, statement)
        return
    with contextlib.closing(connect(Path(database.removeprefix("sqlite:///")))) as connection:
        connection.execute(statement)


async def test_old_audit_actions_are_renamed_and_back(blank_database: str):
    await migrate.upgrade(blank_database, "0004")
    await write(blank_database, f"INSERT INTO audit ({_AUDIT_COLUMNS}) VALUES {_AUDIT_ROWS}")
    statement = "SELECT action FROM audit ORDER BY target_id"
    await migrate.upgrade(blank_database)
    assert [row[0] for row in await query(blank_database, statement)] == [
        "sessions.sign_in",
        "users.update",
        "invitations.accept",
        "sessions.refresh",
    ]
    await migrate.downgrade(blank_database, "0004")
    assert [row[0] for row in await query(blank_database, statement)] == [
        "sign_in",
        "users.update",
        "accept_invitation",
        "refresh",
    ]


def test_the_audit_migration_knows_the_actions_of_today():
    scripts = ScriptDirectory(str(migrate.SCRIPT_LOCATION))
    renamed = scripts.get_revision("0005").module.RENAMED_ACTIONS
    assert set(renamed.values()) <= set(AuditAction)
    assert not renamed.keys() & set(AuditAction)
    assert len(set(renamed.values())) == len(renamed), "the downgrade is unambiguous"


async def test_a_database_at_head_is_not_changed(database: str):
    before = await query(database, "SELECT * FROM permissions ORDER BY id")
    await migrate.upgrade(database)
    assert await query(database, "SELECT * FROM permissions ORDER BY id") == before
