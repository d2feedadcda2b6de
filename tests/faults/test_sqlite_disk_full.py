"""No room left for SQLite: every write of every contract is refused, whole, until there is some."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import invariants
from tests.faults.every_write import WriteClient, all_writes, first_writes
from tests.faults.probe_client import READS, WRITES, ProbeClient
from tests.support.databases import query
from tests.support.processes import checked_server, workers
from tests.support.server import Server
from tests.support.world import World

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"])
PAGE = 4096
FREE_PAGES = (1, 2, 3, 5, 8)
MOST = 40
"""So many pages are left of the log of changes when the disk fills."""


@contextlib.contextmanager
def file_size_limit(server: Server) -> Iterator[Callable[[int], None]]:
    """Yield what limits how far (bytes) the server's processes may write into any file."""
    server.log_may_be_cut = True
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


def all_rows(database: str) -> dict[str, list[Any]]:
    """Return every row of every table."""

    async def look() -> dict[str, list[Any]]:
        named = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
        tables = [name for (name,) in await query(database, named)]
        return {name: await query(database, f'SELECT * FROM "{name}"') for name in tables}

    return asyncio.run(look())


@only_sqlite
def test_every_write_is_refused(seeded_database: tuple[str, World], tmp_path: Path) -> None:
    """By all contracts, signed in or not; nothing has changed, and then all of it is done."""
    database, world = seeded_database
    writes = all_writes(world)
    with checked_server(database, tmp_path) as server, httpx.Client(base_url=server.url) as http:
        writer = WriteClient(http, world)
        assert writer.unexpected_answers(first_writes(world)) == []
        before = all_rows(database)
        with file_size_limit(server) as limit:
            limit(1)
            assert writer.not_unavailable(writes) == []
            assert all_rows(database) == before
            mia = {"Authorization": f"Token {world.people['mia'].token}"}
            assert http.get("/wiwebb/api/v1/auth/user/", headers=mia).status_code == 200
            assert http.get("/readyz").status_code == 200
        assert writer.unexpected_answers(writes) == []
        assert all_rows(database) != before
    assert invariants.sqlite_problems(database) == []


@only_sqlite
def test_it_fills_up_in_the_middle(database: str, tmp_path: Path) -> None:
    """The log takes a part of a change, and no more: what was acknowledged last is what is there."""
    log = Path(database.removeprefix("sqlite:///") + "-wal")
    with (
        checked_server(database, tmp_path) as server,
        contextlib.closing(ProbeClient(server)) as caller,
    ):
        refused = 0
        for room in FREE_PAGES:
            with file_size_limit(server) as limit:
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
                assert invariants.sqlite_problems(database) == []
            assert caller.unexpected_answers(*READS, *WRITES) == []
            kept = asyncio.run(
                query(database, "SELECT location FROM users WHERE username = 'keep'")
            )
            assert kept != [(last["location"],)], "and it goes on"
        assert refused == len(FREE_PAGES)
    assert invariants.sqlite_problems(database) == []
