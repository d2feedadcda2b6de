"""PostgreSQL driver: lost connections, an exhausted pool, a server that does not respond."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable
from dragoman.rules.model import Filter, Order, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.store import users as rows
from dragoman.store.drivers.hosts import Hosts
from dragoman.store.drivers.pool import Pool
from dragoman.store.drivers.postgres import PostgresDriver
from dragoman.store.query import Query
from dragoman.store.transaction import LOCK_SIGN_IN_ATTEMPTS
from dragoman.store.user_lists import counters, pages
from dragoman.store.user_lists.filters import Scope
from tests.support.databases import query, settings_for
from tests.support.people import SYSTEM_ACTOR, UserRow, insert_users, open_directory, transaction
from tests.support.server import free_port

pytestmark = pytest.mark.anyio

BY_NAME = (Order("username"),)
EVERYBODY = Scope(Reach.ANY, None, 0)
LOCK = (LOCK_SIGN_IN_ATTEMPTS, 17)
VISITOR = msgspec.structs.replace(SYSTEM_ACTOR, kind="visitor")  # waits for locks like a request
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'dragoman' ORDER BY pid
"""
WORK = 6
"""Number of connections for transactions and scans."""


@pytest.fixture(params=[pytest.param("postgresql", marks=pytest.mark.postgresql)])
def backend(request: pytest.FixtureRequest) -> str:
    """PostgreSQL only."""
    return request.param


async def terminate_connections(database: str) -> int:
    """Terminate every connection of the application; return their number."""
    ended = await query(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'dragoman'",
    )
    return len(ended)


async def connections(database: str) -> int:
    found = await query(
        database,
        "SELECT 1 FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'dragoman'",
    )
    return len(found)


async def lookup_query(directory: Directory) -> None:
    assert await rows.find(directory.read(SYSTEM_ACTOR), 1) is not None


async def list_query(directory: Directory) -> None:
    page = await pages.page(
        directory.read(SYSTEM_ACTOR), directory.page_cache, EVERYBODY, Filter(), BY_NAME, limit=1
    )
    assert page.rows


async def write_query(directory: Directory) -> None:
    async with transaction(directory) as tx:
        await users.update(tx, 1, UserChanges(first_name=f"{random.random()}"))


async def ignore_cancel_request(**_: object) -> None:
    """Stand in for the cancel request to a server that ignores it."""


ALL_QUERIES = (lookup_query, list_query, write_query)


async def open_all_connections(directory: Directory) -> None:
    """Open every connection that the pools may have."""
    await asyncio.gather(*(work(directory) for work in ALL_QUERIES * 8))


class TestLostConnections:
    async def test_queries_succeed_or_are_unavailable_and_then_succeed_again(
        self, directory: Directory, database: str
    ):
        await open_all_connections(directory)
        assert await terminate_connections(database) >= 2
        results = await asyncio.gather(
            *(work(directory) for work in ALL_QUERIES * 10), return_exceptions=True
        )
        strange = [each for each in results if each and not isinstance(each, Unavailable)]
        assert strange == []
        for _ in range(2):
            for work in ALL_QUERIES:
                await asyncio.wait_for(work(directory), 2)
        assert await connections(database) <= WORK + 2

    async def test_queries_after_repeated_terminations(self, directory: Directory, database: str):
        for work in ALL_QUERIES:
            await open_all_connections(directory)
            await terminate_connections(database)
            lost = 0
            for _ in range(20):
                try:
                    await asyncio.wait_for(work(directory), 2)
                except Unavailable:
                    lost += 1
            assert lost <= WORK, work

    async def test_a_transaction_that_loses_its_connection_changes_nothing(
        self, directory: Directory, database: str
    ):
        with pytest.raises(Unavailable):
            async with transaction(directory) as tx:
                await insert_users(tx, [UserRow(username="half")])
                await terminate_connections(database)
                await asyncio.sleep(0.05)
                await insert_users(tx, [UserRow(username="other half")])
        assert await query(database, "SELECT 1 FROM users WHERE username LIKE '%half'") == []
        await write_query(directory)
        assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}

    async def test_a_commit_that_loses_its_connection_is_unavailable(
        self, directory: Directory, database: str
    ):
        with pytest.raises(Unavailable):
            async with transaction(directory) as tx:
                await insert_users(tx, [UserRow(username="half")])
                await terminate_connections(database)
        assert await query(database, "SELECT 1 FROM users WHERE username = 'half'") == []


class TestPool:
    @contextlib.asynccontextmanager
    async def occupied(self, directory: Directory, number: int) -> AsyncIterator[None]:
        """Keep a number of connections busy for the length of a block."""
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(30):
                for _ in range(number):
                    await self.occupy_all(stack, directory)
            yield

    async def occupy_all(self, stack: contextlib.AsyncExitStack, directory: Directory) -> None:
        while True:
            with contextlib.suppress(Unavailable):  # a busy machine connects slowly
                await stack.enter_async_context(transaction(directory))
                return

    async def test_an_exhausted_pool_is_unavailable_within_two_seconds(self, directory: Directory):
        async with self.occupied(directory, WORK):
            began = time.monotonic()
            results = await asyncio.gather(
                *(work(directory) for work in (list_query, write_query) * 4), return_exceptions=True
            )
            assert all(isinstance(result, Unavailable) for result in results), results
            assert time.monotonic() - began < 3
            await asyncio.wait_for(
                lookup_query(directory), 1
            )  # these have connections of their own
        await asyncio.gather(*(work(directory) for work in ALL_QUERIES * 4))

    async def test_a_waiter_gets_the_next_connection(self, directory: Directory):
        async with self.occupied(directory, WORK):
            waiting = asyncio.create_task(list_query(directory))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 1)

    async def test_cancelled_waiters_do_not_leak_connections(self, database: str):
        chance = random.Random(3)

        async def impatient(directory: Directory) -> None:
            with contextlib.suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(chance.random() / 20):
                    await chance.choice((list_query, write_query))(directory)

        # Without TLS: when negotiating it, asyncpg leaves exceptions that are never retrieved.
        async with open_directory(settings_for(f"{database}?sslmode=disable")) as directory:
            await open_all_connections(directory)
            for _ in range(8):
                await asyncio.gather(*(impatient(directory) for _ in range(25)))
            async with self.occupied(directory, WORK):
                assert await connections(database) <= WORK + 2

    async def test_a_waiter_cancelled_while_getting_a_connection_is_cancelled(
        self, directory: Directory
    ):
        """A cancellation is never lost: jobs that miss it would delay the shutdown."""
        await open_all_connections(directory)
        for _ in range(20):
            async with contextlib.AsyncExitStack() as stack:
                async with self.occupied(directory, WORK - 1):
                    held = transaction(directory)
                    await held.__aenter__()
                    waiting = asyncio.create_task(list_query(directory))
                    await asyncio.sleep(0.01)
                    pool = directory.driver._pool  # type: ignore[attr-defined]
                    pool._waiters[0].add_done_callback(lambda _, task=waiting: task.cancel())
                    await held.__aexit__(None, None, None)
                await asyncio.wait({waiting}, timeout=5)
                stack.callback(waiting.cancel)
                assert waiting.cancelled()

    async def test_a_cancelled_waiter_passes_a_free_slot_on(
        self, directory: Directory, database: str
    ):
        """A free slot is not lost with the waiter that was to use it."""
        held = [transaction(directory) for _ in range(WORK)]
        for one in held:
            await one.__aenter__()
        first, second = (asyncio.create_task(list_query(directory)) for _ in range(2))
        await asyncio.sleep(0.1)
        await terminate_connections(database)
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            await held.pop().__aexit__(None, None, None)
        first.cancel()
        await asyncio.wait_for(second, 1)
        for one in held:
            with pytest.raises(Unavailable):
                await one.__aexit__(None, None, None)
        await asyncio.gather(first, return_exceptions=True)

    async def test_an_exception_in_a_transaction_releases_the_connection(
        self, directory: Directory
    ):
        for _ in range(WORK * 2):
            with pytest.raises(ZeroDivisionError):
                async with transaction(directory):
                    raise ZeroDivisionError
        async with self.occupied(directory, WORK):
            pass

    async def test_a_cancelled_transaction_changes_nothing(
        self, directory: Directory, database: str
    ):
        entered = asyncio.Event()

        async def change() -> None:
            async with transaction(directory) as tx:
                await insert_users(tx, [UserRow(username="half")])
                entered.set()
                await asyncio.sleep(30)

        task = asyncio.create_task(change())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with transaction(directory) as tx:
            await insert_users(tx, [UserRow(username="whole")])
        found = await query(database, "SELECT username FROM users WHERE id > 1")
        assert found == [("whole",)]

    async def test_cancelled_lock_waits_leave_nothing_behind(
        self, directory: Directory, database: str
    ):
        """Neither a failed transaction on the connection, nor the lock itself."""

        async def hold() -> None:
            async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
                pass

        await open_all_connections(directory)
        before = await connections(database)
        for pause_s in (0.0, 0.001, 0.01, 0.05):
            async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
                waiting = asyncio.create_task(hold())
                await asyncio.sleep(pause_s)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                async with asyncio.timeout(10):
                    for _ in range(WORK * 2):
                        await write_query(directory)
            async with asyncio.timeout(10):
                await asyncio.gather(*(hold() for _ in range(WORK)))
        assert await connections(database) == before

    async def test_a_lock_wait_that_cannot_be_cancelled_closes_its_connection(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ):
        """PostgreSQL ignores a cancel request for a statement that has not started yet."""

        async def hold() -> None:
            async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
                pass

        await open_all_connections(directory)
        async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
            waiting = asyncio.create_task(hold())
            await asyncio.sleep(0.1)
            with monkeypatch.context() as patch:
                patch.setattr("asyncpg.connect_utils._cancel", ignore_cancel_request)
                waiting.cancel()
                done, _ = await asyncio.wait({waiting}, timeout=10)
            assert done == {waiting}
            assert waiting.cancelled()
        async with asyncio.timeout(10):
            await asyncio.gather(*(hold() for _ in range(WORK)))

    async def test_a_read_that_cannot_be_cancelled_closes_its_connection(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ):
        """Otherwise the next user of the connection would wait until the statement ends."""
        driver = PostgresDriver(database, pool_size=1)
        await driver.open()
        slow = Query(sa.select(sa.func.pg_sleep(8)), tuple)
        fast = Query(sa.select(sa.literal(1)), tuple)
        reading = asyncio.create_task(driver.fetch(slow, {}))
        await asyncio.sleep(0.2)
        with monkeypatch.context() as patch:
            patch.setattr("asyncpg.connect_utils._cancel", ignore_cancel_request)
            reading.cancel()
            done, _ = await asyncio.wait({reading}, timeout=6)
        assert done == {reading}
        assert reading.cancelled()
        async with asyncio.timeout(2):
            assert await driver.fetch(fast, {}) == [(1,)]
        await driver.close()

    async def test_a_lock_timeout_keeps_the_connection(self, directory: Directory, database: str):
        await open_all_connections(directory)
        before = await query(database, BACKENDS)
        async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
            with pytest.raises(Unavailable):
                async with directory.begin(VISITOR, lock=LOCK):
                    pass
        assert await query(database, BACKENDS) == before


class FreezableProxy:
    """A proxy that stops forwarding when it is ``frozen``.

    New connections are then closed at once, or after sending ``farewell``.
    """

    def __init__(self, database: str) -> None:
        self._parts = urlsplit(database)
        self._tasks: set[asyncio.Task[None]] = set()
        self.frozen = False
        self.farewell = b""

    @contextlib.asynccontextmanager
    async def dsn(self) -> AsyncIterator[str]:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        user, name = self._parts.username, self._parts.path
        try:
            # Without TLS: when negotiating it, the driver reports the end as an OSError.
            yield f"postgresql://{user}@127.0.0.1:{port}{name}?sslmode=disable"
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.frozen:
            await reader.read(1)
            writer.write(self.farewell)
            writer.close()
            return
        host, port = self._parts.hostname, self._parts.port
        behind, before = await asyncio.open_connection(host, port)
        for one, other in ((reader, before), (behind, writer)):
            self._tasks.add(asyncio.create_task(self._forward(one, other)))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.frozen or self.farewell:
                    writer.write(data)
        finally:
            writer.close()


BOUNCER_FULL_ERROR = b"SFATAL\0VFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0"
"""The error of PgBouncer when it is full; it uses this code for everything."""


class TestWatchdog:
    async def test_a_proxy_without_a_server_is_detected(self, database: str):
        proxy = FreezableProxy(database)
        async with proxy.dsn() as dsn:
            pool = Pool(Hosts(dsn), 1)
            began = time.monotonic()
            with pytest.raises(Unavailable):
                async with pool.connection() as connection:
                    proxy.frozen = True
                    await connection.fetchval("SELECT 1 FROM pg_sleep(6)")
            assert time.monotonic() - began < 5
            await pool.close()

    async def test_a_server_that_refuses_the_probe_is_alive(self, database: str):
        proxy = FreezableProxy(database)
        proxy.farewell = (
            b"E" + (len(BOUNCER_FULL_ERROR) + 4).to_bytes(4, "big") + BOUNCER_FULL_ERROR
        )
        async with proxy.dsn() as dsn:
            pool = Pool(Hosts(dsn), 1)
            async with pool.connection() as connection:
                proxy.frozen = True
                assert await connection.fetchval("SELECT 1 FROM pg_sleep(2.5)") == 1
            await pool.close()


@pytest.mark.parametrize("code", ["58030", "53100", "57P03"])
async def test_server_errors_are_unavailable(database: str, code: str):
    """The disk fails or is full, or the server is starting."""
    pool = Pool(Hosts(database), 1)
    with pytest.raises(Unavailable):
        async with pool.connection() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$")
    await pool.close()


async def pages_of(database: str, ids: list[int]) -> list[float]:
    """Return the number of the table page that holds the row of each user."""
    found = await query(database, "SELECT id, (ctid::text::point)[0] FROM users")
    page = dict(map(tuple, found))
    return [page[user_id] for user_id in ids]


async def test_a_sign_in_keeps_the_row_on_its_page(directory: Directory, database: str):
    """Otherwise every index of users would get a new entry for a column that none contains."""
    async with transaction(directory) as tx:
        ids = await insert_users(
            tx, (UserRow(username=f"u{n:03}", email=f"{n:080}") for n in range(200))
        )
    before = await pages_of(database, ids)
    assert len(set(before)) > 5
    for user_id in ids[::20]:
        async with transaction(directory) as tx:
            rows.record_sign_in(tx, user_id)
    assert await pages_of(database, ids) == before


class TestNoServer:
    async def test_a_closed_port(self):
        driver = PostgresDriver(f"postgresql://x@127.0.0.1:{free_port()}/x")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await driver.open()
        assert time.monotonic() - began < 2.5
        await driver.close()

    async def test_a_server_that_never_responds(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            driver = PostgresDriver(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x")
            began = time.monotonic()
            results = await asyncio.gather(
                *(driver.current_revision() for _ in range(8)), return_exceptions=True
            )
            took = time.monotonic() - began
            await driver.close()
        assert all(isinstance(result, Unavailable) for result in results), results
        assert took < 3

    async def test_a_database_that_does_not_exist(self, database: str):
        driver = PostgresDriver(database + "_gone")
        with pytest.raises((Unavailable, asyncpg.InvalidCatalogNameError)):
            await driver.open()
        await driver.close()
