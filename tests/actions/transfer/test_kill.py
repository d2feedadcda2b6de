"""An import that is killed, again and again, ends with exactly the rows of its file."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

from dragoman.actions.directory import Directory
from dragoman.actions.transfer.records import Tally
from dragoman.settings import Settings
from dragoman.store import imports
from dragoman.store.user_lists import counters
from tests.actions.transfer import killed_import
from tests.support.people import SYSTEM_ACTOR
from tests.support.rows import open_rows

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
KILLS = int(os.environ.get("DRAGOMAN_TEST_KILLS", "10"))
ROWS, REPEATED = 600 * max(KILLS, 10), 10 * max(KILLS, 10)
"""Rows of different people, and rows that repeat the one before."""


def write_file(path: Path) -> set[str]:
    """Write the table of people, and return their usernames."""
    lines = ["username,email,first_name"]
    for number in range(ROWS):
        line = f"person{number},person{number}@example.com,P{number % 7}"
        lines += [line] * (2 if number % (ROWS // REPEATED) == 0 else 1)
    path.write_text("\n".join(lines) + "\n")
    return {f"person{number}" for number in range(ROWS)}


async def import_and_kill(directory: Directory, database: str, path: Path) -> None:
    """Import in processes that are killed: some at once, most after they have written something."""
    moments = random.Random(os.urandom(8))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_import.__name__])
    for _ in range(KILLS):
        process = context.Process(target=killed_import.import_file, args=(database, path))
        done = await records_done(directory)
        process.start()
        longest_s = 0.05  # until it begins to write
        if moments.random() < 0.7:
            longest_s = 0.01  # a few chunks: all kills together must not see the end of the file
            while await records_done(directory) == done:
                assert process.exitcode is None
                await anyio.sleep(0.005)
        await anyio.sleep(moments.uniform(0, longest_s))
        process.kill()
        await anyio.to_thread.run_sync(process.join)
        assert process.exitcode == -signal.SIGKILL
    process = context.Process(target=killed_import.import_file, args=(database, path))
    process.start()
    await anyio.to_thread.run_sync(process.join)
    assert process.exitcode == 0


async def records_done(directory: Directory) -> int:
    """Return how far the import has come."""
    found = await imports.list_latest(directory.read(SYSTEM_ACTOR))
    return found[0].record if found else 0


async def test_every_row_is_there_once(
    directory: Directory, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    expected = write_file(path)
    await import_and_kill(directory, settings.database, path)
    connection = await open_rows(settings.database)
    try:
        dump = await connection.dump()
    finally:
        await connection.close()
    names = [row["username"] for row in dump["users"].values()]
    assert sorted(name for name in names if name != "admin") == sorted(expected)
    assert len(dump["names"]) == 2 * (ROWS + 1)
    [record] = await imports.list_latest(directory.read(SYSTEM_ACTOR))
    tally = msgspec.json.decode(record.counts, type=Tally)
    assert record.state == imports.FINISHED
    assert (tally.read, tally.created, tally.skipped) == (ROWS + REPEATED, ROWS, REPEATED)
    entries = [row for row in dump["audit"].values() if row["request_id"] == record.public_id]
    assert len(entries) == ROWS
    assert await counters.differences(directory.read(SYSTEM_ACTOR)) == {}
