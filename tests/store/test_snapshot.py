"""Snapshots: all reads see one state, while others go on writing."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable
from dragoman.store.query import Query
from dragoman.store.schema import counts
from dragoman.store.transaction import Snapshot
from dragoman.store.user_lists import counters
from tests.support.people import LIVING_IDS, SYSTEM_ACTOR, UserRow, insert_users, transaction

pytestmark = pytest.mark.anyio


async def count(snapshot: Snapshot) -> int:
    return len(await snapshot.fetch(LIVING_IDS))


async def test_a_snapshot_does_not_see_what_is_committed_later_and_blocks_no_writer(
    directory: Directory,
):
    async with directory.snapshot() as snapshot:
        async with transaction(directory) as tx:
            await insert_users(tx, [UserRow(username="late")])
        assert await count(snapshot) == 1  # the first superadmin alone
        async with directory.snapshot() as newer:
            assert await count(newer) == 2
        assert await count(snapshot) == 1


async def test_a_snapshot_cannot_write(directory: Directory):
    delete: Query[int] = Query(sa.delete(counts).returning(counts.c.n))
    async with directory.snapshot() as snapshot:
        with pytest.raises(Unavailable):
            await snapshot.fetch(delete)
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}


async def test_a_cancelled_reader_leaves_the_directory_usable(directory: Directory):
    async def hold(opened: asyncio.Event) -> None:
        async with directory.snapshot() as snapshot:
            await count(snapshot)
            opened.set()
            await asyncio.Event().wait()

    opened = asyncio.Event()
    reader = asyncio.create_task(hold(opened))
    await opened.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    async with transaction(directory) as tx:
        await insert_users(tx, [UserRow(username="late")])
    async with directory.snapshot() as snapshot:
        assert await count(snapshot) == 2


@pytest.mark.parametrize(
    "backend", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
async def test_a_step_of_a_table_is_read_by_its_key(directory: Directory):
    """Otherwise each step of a table without statistics reads and sorts the rest of it."""
    statement = "SELECT id FROM users WHERE deleted_at IS NULL AND id > 5 ORDER BY id LIMIT 1000"
    explain: Query[str] = Query(sa.text(f"EXPLAIN {statement}"))
    async with directory.snapshot() as snapshot:
        plan = "\n".join(await snapshot.fetch(explain))
    assert "Index Scan using users_pkey" in plan
    assert "Sort" not in plan
