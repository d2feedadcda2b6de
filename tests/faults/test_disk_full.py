"""No room left for SQLite: every write of every contract is refused, whole, until there is some."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import aftermath
from tests.faults.caller import READS, WRITES, Caller, serving
from tests.faults.processes import workers
from tests.faults.writes import Writer, all_writes, first_writes
from tests.support.databases import query
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"])
PAGE = 4096
ROOMS = (1, 2, 3, 5, 8)
MOST = 40
"""So many pages are left of the log of changes when the disk fills."""


@contextlib.contextmanager
def no_file_beyond(server: Server) -> Iterator[Callable[[int], None]]:
    """Yield what limits how far (bytes) the server's processes may write into any file."""
    resource: Any = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system cannot limit another process")
    size = resource.RLIMIT_FSIZE
    usual = {pid: resource.prlimit(pid, size) for pid in (server.pid, *workers(server))}

    def limit(most: int) -> None:
        for pid, (_, hard) in usual.items():
            resource.prlimit(pid, size, (most, hard))

    try:
        yield limit
    finally:
        for pid, limits in usual.items():
            resource.prlimit(pid, size, limits)


def everything(database: str) -> dict[str, list[Any]]:
    """Return every row of every table."""

    async def look() -> dict[str, list[Any]]:
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
        tables = [name for (name,) in await query(database, named)]
        return {name: await query(database, f'SELECT * FROM "{name}"') for name in tables}

    return asyncio.run(look())


@only_sqlite
def test_every_write_is_refused(inhabited: tuple[str, World], tmp_path: Path) -> None:
    """By all contracts, signed in or not; nothing has changed, and then all of it is done."""
    database, world = inhabited
    writes = all_writes(world)
    with serving(database, tmp_path) as server, httpx.Client(base_url=server.url) as http:
        writer = Writer(http, world)
        assert writer.served(first_writes(world)) == []
        before = everything(database)
        with no_file_beyond(server) as limit:
            limit(1)
            assert writer.refused(writes) == []
            assert everything(database) == before
            mia = {"Authorization": f"Token {world.people['mia'].token}"}
            assert http.get("/wiwebb/api/v1/auth/user/", headers=mia).status_code == 200
            assert http.get("/readyz").status_code == 200
        assert writer.served(writes) == []
        assert everything(database) != before
    assert aftermath.integrity(database) == []


@only_sqlite
def test_it_fills_up_in_the_middle(database: str, tmp_path: Path) -> None:
    """The log takes a part of a change, and no more: what was acknowledged last is what is there."""
    log = Path(database.removeprefix("sqlite:///") + "-wal")
    with serving(database, tmp_path) as server, contextlib.closing(Caller(server)) as caller:
        refused = 0
        for room in ROOMS:
            with no_file_beyond(server) as limit:
                last = caller.ask(WRITES[0]).json()
                limit(log.stat().st_size + room * PAGE)
                for _ in range(MOST):
                    answer = caller.ask(WRITES[0])
                    if answer.status_code != 200:
                        assert answer.status_code == 503, answer.text
                        refused += 1
                        break
                    last = answer.json()
                shown = caller.ask(READS[0]).json()
                assert shown["location"] == last["location"]
                assert aftermath.integrity(database) == []
            assert caller.works(*READS, *WRITES) == []
            kept = asyncio.run(
                query(database, "SELECT location FROM users WHERE username = 'keep'")
            )
            assert kept != [(last["location"],)], "and it goes on"
        assert refused == len(ROOMS)
    assert aftermath.integrity(database) == []
