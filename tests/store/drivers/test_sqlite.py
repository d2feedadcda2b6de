"""SQLite driver: durability, locks held by other processes, and disk errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dragoman import app
from dragoman.actions import users
from dragoman.actions.directory import Directory
from dragoman.rules.errors import Unavailable
from dragoman.rules.model import Filter, Order, Role, UserChanges
from dragoman.rules.vocabulary import Reach
from dragoman.settings import Settings
from dragoman.store import users as rows
from dragoman.store.drivers import sqlite_library
from dragoman.store.drivers.sqlite import SqliteDriver
from dragoman.store.user_lists import counters, pages
from dragoman.store.user_lists.filters import Scope
from tests.support.databases import query
from tests.support.people import SYSTEM_ACTOR, UserRow, insert_users, transaction

pytestmark = pytest.mark.anyio

BY_NAME = (Order("username"),)
EVERYBODY = Scope(Reach.ANY, None, 0)

BUSY = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
while True:
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    time.sleep(0.03)
    connection.execute("COMMIT")
    time.sleep(0.002)
"""
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.sqlite)])
def backend(request: pytest.FixtureRequest) -> str:
    """SQLite only."""
    return request.param


@pytest.fixture
def driver(directory: Directory) -> SqliteDriver:
    driver = directory.driver
    assert isinstance(driver, SqliteDriver)
    return driver


@contextmanager
def hold_write_lock(database: str, how: str = LOCK) -> Iterator[None]:
    """Let another process hold the write lock for the length of a block."""
    path = database.removeprefix("sqlite:///")
    with subprocess.Popen(
        [sys.executable, "-c", how, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.kill()


async def pragma(driver: SqliteDriver, name: str) -> object:
    return (await driver.run_in_writer_thread(lambda c: c.execute(f"PRAGMA {name}").fetchone()))[0]


class TestDurability:
    async def test_a_commit_is_on_the_disk(self, driver: SqliteDriver):
        assert await pragma(driver, "journal_mode") == "wal"
        assert await pragma(driver, "synchronous") == 2  # FULL
        assert await pragma(driver, "foreign_keys") == 1
        assert await pragma(driver, "trusted_schema") == 0
        assert 0 < int(str(await pragma(driver, "busy_timeout"))) <= 5000

    async def test_the_library_has_the_wal_reset_fix(self, driver: SqliteDriver):
        version = await driver.run_in_writer_thread(
            lambda c: c.execute("SELECT sqlite_version()").fetchone()
        )
        assert tuple(int(part) for part in version[0].split(".")) >= (3, 51, 3)

    async def test_a_referenced_row_cannot_be_deleted(
        self, directory: Directory, driver: SqliteDriver
    ):
        with pytest.raises(sqlite_library.Error, match="FOREIGN KEY"):
            await driver.run_in_writer_thread(lambda c: c.execute("DELETE FROM users WHERE id = 1"))

    async def test_a_cancelled_change_is_all_or_nothing(self, directory: Directory, database: str):
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
        assert await query(database, "SELECT 1 FROM users WHERE username = 'half'") == []
        async with transaction(directory) as tx:
            await insert_users(tx, [UserRow(username="whole")])
        assert await query(database, "SELECT 1 FROM users WHERE username = 'whole'") == [(1,)]


class TestLocked:
    async def test_a_locked_file_is_unavailable_for_writers_only(
        self, directory: Directory, database: str
    ):
        slowest = 0.0

        async def write() -> None:
            async with transaction(directory) as tx:
                await users.update(tx, 1, UserChanges(first_name="In vain"))

        with hold_write_lock(database):
            began = time.monotonic()
            writing = asyncio.create_task(write())
            read = directory.read(SYSTEM_ACTOR)
            while not writing.done():
                asked = time.monotonic()
                assert await rows.find(read, 1) is not None
                page = await pages.page(
                    read, directory.page_cache, EVERYBODY, Filter(), BY_NAME, limit=1
                )
                assert page.count == 1
                slowest = max(slowest, time.monotonic() - asked)
                await asyncio.sleep(0.05)
            with pytest.raises(Unavailable) as raised:
                await writing
            assert time.monotonic() - began < 3.5
            assert raised.value.retry_after > 0
            assert slowest < 1
        await write()
        (row,) = await query(database, "SELECT first_name FROM users WHERE id = 1")
        assert row == ("In vain",)

    async def test_many_writers_are_unavailable_soon(self, directory: Directory, database: str):
        async def write(n: int) -> float:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                async with transaction(directory) as tx:
                    await insert_users(tx, [UserRow(username=f"u{n}")])
            return time.monotonic() - began

        with hold_write_lock(database):
            took = await asyncio.gather(*(write(n) for n in range(5)))
        assert max(took) < 5.5, [round(seconds, 1) for seconds in took]
        assert await query(database, "SELECT 1 FROM users WHERE username LIKE 'u%'") == []

    async def test_writers_wait_for_a_short_lock(self, directory: Directory, database: str):
        with hold_write_lock(database):
            task = asyncio.create_task(insert_one(directory))
            await asyncio.sleep(0.3)
            assert not task.done()
        await asyncio.wait_for(task, 5)

    async def test_another_process_that_writes_without_a_pause(
        self, directory: Directory, database: str
    ):
        """A writer that polls the lock too rarely would miss the gaps for seconds."""
        with hold_write_lock(database, BUSY):
            for _ in range(12):
                async with transaction(directory):
                    pass


async def insert_one(directory: Directory) -> None:
    async with transaction(directory) as tx:
        await insert_users(tx, [UserRow(username="patient")])


class TestDisk:
    async def test_a_full_disk_is_unavailable_and_rolls_back(
        self, directory: Directory, driver: SqliteDriver, database: str
    ):
        pages = await pragma(driver, "page_count")
        await driver.run_in_writer_thread(
            lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        )
        before = await query(database, "SELECT count(*) FROM users")
        history = await query(database, "SELECT count(*) FROM audit")
        with pytest.raises(Unavailable):
            async with transaction(directory) as tx:
                await insert_users(tx, (UserRow(username=f"user{n}" * 9) for n in range(500)))
        with pytest.raises(Unavailable):
            async with transaction(directory) as tx:
                await users.update(tx, 1, UserChanges(bio="x" * 10_000))
        assert await query(database, "SELECT count(*) FROM users") == before
        assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
        assert await query(database, "SELECT count(*) FROM audit") == history

        await driver.run_in_writer_thread(
            lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone()
        )
        async with transaction(directory) as tx:
            await users.update(tx, 1, UserChanges(bio="x" * 10_000))
        assert await query(database, "SELECT length(bio) FROM users WHERE id = 1") == [(10_000,)]

    async def test_a_file_that_cannot_be_written_is_unavailable(
        self, directory: Directory, driver: SqliteDriver
    ):
        """Like a disk that the kernel has remounted read-only after an error."""
        await driver.run_in_writer_thread(lambda c: c.execute("PRAGMA query_only = ON"))
        with pytest.raises(Unavailable):
            await insert_one(directory)

    async def test_a_missing_folder_is_unavailable(self, tmp_path: Path):
        driver = SqliteDriver(tmp_path / "nowhere" / "dragoman.db")
        try:
            with pytest.raises(Unavailable):
                await driver.open()
        finally:
            await driver.close()


class TestTwoProcesses:
    @pytest.fixture
    async def second_directory(self, settings: Settings) -> AsyncIterator[Directory]:
        """Another directory on the same file, as the command line opens one."""
        async with app.open_directory(settings) as directory:
            yield directory

    async def test_each_process_reads_the_commits_of_the_other(
        self, directory: Directory, second_directory: Directory
    ):
        for turn in range(3):
            here, there = (
                (directory, second_directory) if turn % 2 else (second_directory, directory)
            )
            async with transaction(here) as tx:
                (user_id,) = await insert_users(
                    tx, [UserRow(username=f"turn{turn}", role=Role.ADMIN)]
                )
            found = await rows.find(there.read(SYSTEM_ACTOR), user_id)
            assert found is not None
            assert found.username == f"turn{turn}"

    async def test_each_process_learns_that_the_other_has_written(
        self, directory: Directory, second_directory: Directory
    ):
        driver = directory.driver
        assert not await driver.others_have_written()  # before this process has looked
        async with transaction(directory) as tx:
            await insert_users(tx, [UserRow(username="here")])
        assert not await driver.others_have_written()
        async with transaction(second_directory) as tx:
            await insert_users(tx, [UserRow(username="there")])
        assert await driver.others_have_written()
        assert not await driver.others_have_written()

    async def test_both_processes_write_at_once(
        self, directory: Directory, second_directory: Directory, database: str
    ):
        async def write(n: int) -> None:
            async with transaction(directory if n % 2 else second_directory) as tx:
                await users.update(tx, 1, UserChanges(first_name=f"n{n}"))  # reads first
                await asyncio.sleep(0.001)
                await insert_users(tx, [UserRow(username=f"u{n}")])

        await asyncio.gather(*(write(n) for n in range(20)))
        assert await query(database, "SELECT count(*) FROM users") == [(21,)]
        assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
