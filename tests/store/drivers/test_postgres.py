"""PostgreSQL: connections that die, a pool that is exhausted, a server that does not answer."""

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

from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable
from dragoman.rules.model import Filter, Order, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.store import users as rows
from dragoman.store.drivers.pool import Pool
from dragoman.store.drivers.postgres import PostgresDriver
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
VISITOR = msgspec.structs.replace(
    SYSTEM_ACTOR, kind="visitor"
)  # who waits no longer than a request
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'dragoman' ORDER BY pid
"""
WORK = 6
"""Connections for transactions and scans."""


@pytest.fixture(params=[pytest.param("postgresql", marks=pytest.mark.postgresql)])
def backend(request: pytest.FixtureRequest) -> str:
    """This database alone."""
    return request.param


async def terminate_connections(database: str) -> int:
    """End every connection of the application; return how many there were."""
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
    page = await pages.page(directory.read(SYSTEM_ACTOR), EVERYBODY, Filter(), BY_NAME, limit=1)
    assert page.rows


async def write_query(directory: Directory) -> None:
    async with transaction(directory) as tx:
        await users.update(tx, 1, UserChanges(first_name=f"{random.random()}"))


ALL_QUERIES = (lookup_query, list_query, write_query)


async def open_all_connections(directory: Directory) -> None:
    """Open every connection that the pools may have."""
    await asyncio.gather(*(work(directory) for work in ALL_QUERIES * 8))


class TestLostConnections:
    async def test_whoever_asks_is_told_or_served_and_soon_everybody_is_served(
        self, directory: Directory, database: str
    ):
        await open_all_connections(directory)
        assert await terminate_connections(database) >= 2
        told = await asyncio.gather(
            *(work(directory) for work in ALL_QUERIES * 10), return_exceptions=True
        )
        strange = [fault for fault in told if fault and not isinstance(fault, Unavailable)]
        assert strange == []
        for _ in range(2):
            for work in ALL_QUERIES:
                await asyncio.wait_for(work(directory), 2)
        assert await connections(database) <= WORK + 2

    async def test_one_after_the_other(self, directory: Directory, database: str):
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
        """Keep so many connections busy for the length of a block, however long a new one takes."""
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

    async def test_who_finds_no_connection_is_told_within_two_seconds(self, directory: Directory):
        async with self.occupied(directory, WORK):
            began = time.monotonic()
            told = await asyncio.gather(
                *(work(directory) for work in (list_query, write_query) * 4), return_exceptions=True
            )
            assert all(isinstance(fault, Unavailable) for fault in told), told
            assert time.monotonic() - began < 3
            await asyncio.wait_for(
                lookup_query(directory), 1
            )  # these have connections of their own
        await asyncio.gather(*(work(directory) for work in ALL_QUERIES * 4))

    async def test_who_waits_gets_the_next_connection(self, directory: Directory):
        async with self.occupied(directory, WORK):
            waiting = asyncio.create_task(list_query(directory))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 1)

    async def test_who_stops_waiting_takes_no_connection_along(self, database: str):
        chance = random.Random(3)

        async def impatient(directory: Directory) -> None:
            with contextlib.suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(chance.random() / 20):
                    await chance.choice((list_query, write_query))(directory)

        # Without TLS: asking for it, asyncpg leaves errors behind that nobody fetches.
        async with open_directory(settings_for(f"{database}?sslmode=disable")) as directory:
            await open_all_connections(directory)
            for _ in range(8):
                await asyncio.gather(*(impatient(directory) for _ in range(25)))
            async with self.occupied(directory, WORK):
                assert await connections(database) <= WORK + 2

    async def test_who_is_told_to_stop_just_when_it_gets_one_stops(self, directory: Directory):
        """A cancellation is never lost: chores that miss theirs would hold up the shutdown."""
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

    async def test_who_is_called_and_has_gone_hands_the_call_on(
        self, directory: Directory, database: str
    ):
        """A place that became free is not forgotten with the one who was to take it."""
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

    async def test_an_error_of_ours_gives_the_connection_back(self, directory: Directory):
        for _ in range(WORK * 2):
            with pytest.raises(ZeroDivisionError):
                async with transaction(directory):
                    raise ZeroDivisionError
        async with self.occupied(directory, WORK):
            pass

    async def test_a_task_that_is_cancelled_in_its_transaction_changes_nothing(
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

    async def test_who_stops_waiting_for_a_lock_leaves_nothing_behind(
        self, directory: Directory, database: str
    ):
        """Neither a transaction that has failed to whoever comes next, nor the lock itself."""

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

    async def test_who_cannot_be_stopped_is_hung_up_on(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ):
        """A server may forget that it was told to cancel: it had not yet begun."""

        async def forget(**_: object) -> None:
            pass

        async def hold() -> None:
            async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
                pass

        await open_all_connections(directory)
        async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
            waiting = asyncio.create_task(hold())
            await asyncio.sleep(0.1)
            with monkeypatch.context() as patch:
                patch.setattr("asyncpg.connect_utils._cancel", forget)
                waiting.cancel()
                done, _ = await asyncio.wait({waiting}, timeout=10)
            assert done == {waiting}
            assert waiting.cancelled()
        async with asyncio.timeout(10):
            await asyncio.gather(*(hold() for _ in range(WORK)))

    async def test_who_waits_too_long_for_a_lock_keeps_the_connection(
        self, directory: Directory, database: str
    ):
        await open_all_connections(directory)
        before = await query(database, BACKENDS)
        async with directory.begin(SYSTEM_ACTOR, lock=LOCK):
            with pytest.raises(Unavailable):
                async with directory.begin(VISITOR, lock=LOCK):
                    pass
        assert await query(database, BACKENDS) == before


class FreezableProxy:
    """Stands before a server; when that is ``gone``, old connections fall silent and new ones end.

    A new one ends at once, or after these last ``words``.
    """

    def __init__(self, database: str) -> None:
        self._parts = urlsplit(database)
        self._tasks: set[asyncio.Task[None]] = set()
        self.frozen = False
        self.words = b""

    @contextlib.asynccontextmanager
    async def dsn(self) -> AsyncIterator[str]:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        user, name = self._parts.username, self._parts.path
        try:
            # Without TLS: asking for it, the driver sees the end as an error of the system's.
            yield f"postgresql://{user}@127.0.0.1:{port}{name}?sslmode=disable"
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.frozen:
            await reader.read(1)
            writer.write(self.words)
            writer.close()
            return
        host, port = self._parts.hostname, self._parts.port
        behind, before = await asyncio.open_connection(host, port)
        for one, other in ((reader, before), (behind, writer)):
            self._tasks.add(asyncio.create_task(self._forward(one, other)))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.frozen or self.words:
                    writer.write(data)
        finally:
            writer.close()


BOUNCER_FULL_ERROR = b"SFATAL\0VFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0"
"""What PgBouncer says when it is full, with its code for everything."""


class TestWatchdog:
    async def test_a_proxy_with_nobody_behind_it_is_not_waited_for(self, database: str):
        proxy = FreezableProxy(database)
        async with proxy.dsn() as dsn:
            pool = Pool(dsn, 1)
            began = time.monotonic()
            with pytest.raises(Unavailable):
                async with pool.connection() as connection:
                    proxy.frozen = True
                    await connection.fetchval("SELECT 1 FROM pg_sleep(6)")
            assert time.monotonic() - began < 5
            await pool.close()

    async def test_a_refusal_is_an_answer(self, database: str):
        proxy = FreezableProxy(database)
        proxy.words = b"E" + (len(BOUNCER_FULL_ERROR) + 4).to_bytes(4, "big") + BOUNCER_FULL_ERROR
        async with proxy.dsn() as dsn:
            pool = Pool(dsn, 1)
            async with pool.connection() as connection:
                proxy.frozen = True
                assert await connection.fetchval("SELECT 1 FROM pg_sleep(2.5)") == 1
            await pool.close()


@pytest.mark.parametrize("code", ["58030", "53100", "57P03"])
async def test_a_server_that_cannot_is_unavailable(database: str, code: str):
    """A disk that fails, or is full, or a server that starts: nobody has made a mistake."""
    pool = Pool(database, 1)
    with pytest.raises(Unavailable):
        async with pool.connection() as connection:
            await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$")
    await pool.close()


async def pages_of(database: str, ids: list[int]) -> list[float]:
    """Return on which page of the table the row of each user is."""
    found = await query(database, "SELECT id, (ctid::text::point)[0] FROM users")
    page = dict(map(tuple, found))
    return [page[user_id] for user_id in ids]


async def test_who_signs_in_stays_on_the_page(directory: Directory, database: str):
    """Else every index of users gets a new entry, for a column that none of them holds."""
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
    async def test_nobody_listens(self):
        driver = PostgresDriver(f"postgresql://x@127.0.0.1:{free_port()}/x")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await driver.open()
        assert time.monotonic() - began < 2.5
        await driver.close()

    async def test_somebody_listens_and_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            driver = PostgresDriver(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x")
            began = time.monotonic()
            told = await asyncio.gather(
                *(driver.current_revision() for _ in range(8)), return_exceptions=True
            )
            took = time.monotonic() - began
            await driver.close()
        assert all(isinstance(fault, Unavailable) for fault in told), told
        assert took < 3

    async def test_a_database_that_does_not_exist(self, database: str):
        driver = PostgresDriver(database + "_gone")
        with pytest.raises((Unavailable, asyncpg.InvalidCatalogNameError)):
            await driver.open()
        await driver.close()
