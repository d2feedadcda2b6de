"""Batched lookups: concurrent lookups share statements, and each gets its own value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from dragoman.actions.directory import Directory
from dragoman.rules import crypto
from dragoman.rules.errors import Unavailable
from dragoman.store import tokens
from dragoman.store import users as rows
from dragoman.store.drivers.batching import BatchLoader
from dragoman.store.drivers.postgres import PostgresDriver
from dragoman.store.drivers.sqlite import SqliteDriver
from dragoman.store.query import MAX_KEYS, LookupQuery
from dragoman.store.schema import users
from tests.support.people import (
    SYSTEM_ACTOR,
    UserRow,
    insert_users,
    make_user,
    present_credential,
    transaction,
)

pytestmark = pytest.mark.anyio

ANY_LOOKUP: LookupQuery[Any] = LookupQuery(
    (sa.BigInteger(),),
    lambda q: sa.select(q.c.n, users.c.username).select_from(q).join(users, users.c.id == q.c.k0),
    lambda row: row[1],
)


class FakeLookup:
    """Returns twice the key, or no row for every other thousand; records the batches."""

    def __init__(self, *, delay_s: float = 0.0, error: BaseException | None = None) -> None:
        self.batches: list[list[int]] = []
        self.delay_s = delay_s
        self.error = error
        self.in_flight = 0
        self.max_in_flight = 0

    async def __call__(
        self, read: LookupQuery[Any], given: list[tuple[Any, ...]]
    ) -> list[tuple[int, Any]]:
        keys: list[int] = [key for (key,) in given]
        self.batches.append(keys)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay_s)
            if self.error is not None:
                raise self.error
        finally:
            self.in_flight -= 1
        found = [(n, key * 2) for n, key in enumerate(keys, start=1) if key % 2000 < 1000]
        return found[::-1]  # SQL guarantees no order


async def load_all(loader: BatchLoader, keys: Sequence[int]) -> list[Any]:
    """Load all keys concurrently, each in its own task."""

    async def one(key: int) -> Any:
        return await loader.load((key,))

    async with asyncio.timeout(5):
        return await asyncio.gather(*(one(key) for key in keys))


class TestBatchLoader:
    async def test_each_lookup_gets_its_own_value(self):
        keys = [7, 3, 1500, 7, 3500, 3, 0]
        assert await load_all(BatchLoader(ANY_LOOKUP, FakeLookup()), keys) == [
            14,
            6,
            None,
            14,
            None,
            6,
            0,
        ]

    async def test_a_single_lookup_starts_at_once(self):
        statements = FakeLookup(delay_s=0.01)
        waiting = BatchLoader(ANY_LOOKUP, statements).load((1,))
        for _ in range(3):
            await asyncio.sleep(0)
        assert statements.batches == [[1]]
        assert await waiting == 2

    async def test_many_lookups_share_few_statements(self):
        statements = FakeLookup(delay_s=0.005)
        gatherer = BatchLoader(ANY_LOOKUP, statements, max_in_flight=2, max_batch=100)

        async def one(key: int) -> Any:
            await asyncio.sleep(key % 7 / 1000)
            return await gatherer.load((key,))

        keys = range(900)
        assert await asyncio.gather(*(one(key) for key in keys)) == [key * 2 for key in keys]
        assert sum(len(batch) for batch in statements.batches) == 900
        assert len(statements.batches) < 40
        assert max(len(batch) for batch in statements.batches) <= 100
        assert statements.max_in_flight <= 2

    async def test_an_error_reaches_the_lookups_of_its_batch_only(self):
        statements = FakeLookup(delay_s=0.005, error=Unavailable("database"))
        gatherer = BatchLoader(ANY_LOOKUP, statements, max_in_flight=1)
        waiting = [gatherer.load((key,)) for key in range(5)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, Unavailable) for result in results)
        statements.error = None
        assert await asyncio.wait_for(load_all(gatherer, [1, 2]), 1) == [2, 4]

    async def test_unavailable_fails_pending_lookups_as_well(self):
        """Otherwise each of them would run into the same timeout again."""
        statements = FakeLookup(delay_s=0.01, error=Unavailable("database"))
        gatherer = BatchLoader(ANY_LOOKUP, statements, max_in_flight=1)
        first = asyncio.ensure_future(load_all(gatherer, [1]))
        await asyncio.sleep(0.005)
        second = asyncio.ensure_future(load_all(gatherer, [2]))
        for task in (first, second):
            with pytest.raises(Unavailable):
                await task
        statements.error = None
        assert await asyncio.wait_for(load_all(gatherer, [2]), 1) == [4]

    async def test_other_errors_do_not_fail_pending_lookups(self):
        statements = FakeLookup(delay_s=0.01, error=RuntimeError("of this statement alone"))
        gatherer = BatchLoader(ANY_LOOKUP, statements, max_in_flight=1)
        first = asyncio.ensure_future(load_all(gatherer, [1]))
        await asyncio.sleep(0.005)
        second = asyncio.ensure_future(load_all(gatherer, [2]))
        with pytest.raises(RuntimeError):
            await first
        statements.error = None
        assert await asyncio.wait_for(second, 1) == [4]

    async def test_a_cancelled_lookup_does_not_affect_others(self):
        statements = FakeLookup(delay_s=0.01)
        gatherer = BatchLoader(ANY_LOOKUP, statements, max_in_flight=1)
        tasks = [asyncio.ensure_future(load_all(gatherer, [key])) for key in range(6)]
        await asyncio.sleep(0.002)
        tasks[0].cancel()
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [t for n, t in enumerate(results) if n not in {0, 3}] == [[2], [4], [8], [10]]
        assert await asyncio.wait_for(load_all(gatherer, [9]), 1) == [18]

    async def test_every_lookup_may_be_cancelled(self):
        gatherer = BatchLoader(ANY_LOOKUP, FakeLookup(delay_s=0.01), max_in_flight=1)
        tasks = [asyncio.ensure_future(load_all(gatherer, [key])) for key in range(3)]
        await asyncio.sleep(0.002)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.wait_for(load_all(gatherer, [4]), 1) == [8]

    async def test_a_cancelled_statement_fails_its_lookups(self):
        gatherer = BatchLoader(
            ANY_LOOKUP, FakeLookup(error=asyncio.CancelledError()), max_in_flight=1
        )
        waiting = gatherer.load((1,))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 1)


class TestDatabases:
    async def test_users_by_id(self, directory: Directory):
        async with transaction(directory) as tx:
            ids = await insert_users(tx, (UserRow(username=f"user{n}") for n in range(120)))
        read = directory.read(SYSTEM_ACTOR)
        wanted = [*ids, 987_654_321, ids[0], -1, 2**62, ids[-1]]
        found = await asyncio.gather(*(rows.find(read, user_id) for user_id in wanted))
        names = [user.username if user else None for user in found]
        expected = [f"user{n}" for n in range(120)]
        assert names == [*expected, None, "user0", None, None, "user119"]

    async def test_credentials_with_a_prefetched_user(self, directory: Directory):
        people = [await make_user(directory, f"user{n}", tenant_id=1) for n in range(4)]
        held = [await present_credential(directory, user.id) for user in people]
        asked: list[tuple[bytes, int]] = []
        for n in range(40):
            digest = crypto.digest(held[n % 4].secret if n % 5 else f"nobody's {n}")
            asked.append((digest, people[n % 3].id if n % 7 else 0))
        found = await asyncio.gather(*(tokens.look_up(directory.driver, *key) for key in asked))
        for n, standing in enumerate(found):
            if n % 5 == 0:
                assert standing is None
                continue
            assert standing is not None
            assert standing.user.username == f"user{n % 4}"
            ahead = standing.prefetched_user
            assert (ahead.username if ahead else None) == (f"user{n % 3}" if n % 7 else None)

    async def test_many_lookups_share_few_statements(self, directory: Directory):
        driver = directory.driver
        assert isinstance(driver, PostgresDriver | SqliteDriver)
        most = 256 if isinstance(driver, PostgresDriver) else MAX_KEYS
        async with transaction(directory) as tx:
            ids = await insert_users(tx, (UserRow(username=f"user{n}") for n in range(50)))
        batches: list[int] = []

        async def fetch(read: LookupQuery[Any], keys: list[tuple[Any, ...]]) -> Any:
            batches.append(len(keys))
            return await driver._fetch_batch(read, keys)

        gatherer = BatchLoader(ANY_LOOKUP, fetch, max_in_flight=1, max_batch=most)
        found = await load_all(gatherer, ids * 10)
        assert found == [f"user{n}" for n in range(50)] * 10
        assert sum(batches) == 500
        assert len(batches) <= 500 // most + 2

    @pytest.mark.parametrize("count", [1, 2, MAX_KEYS - 1, MAX_KEYS, MAX_KEYS + 1])
    async def test_any_number_at_once(self, directory: Directory, count: int):
        async with transaction(directory) as tx:
            ids = await insert_users(tx, (UserRow(username=f"user{n}") for n in range(count)))
        read = directory.read(SYSTEM_ACTOR)
        found = await asyncio.gather(*(rows.find(read, user_id) for user_id in ids))
        assert [user.username for user in found if user] == [f"user{n}" for n in range(count)]
