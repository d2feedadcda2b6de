"""A worker that dies while the database is away: the next one begins, and says 503 until it is back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from dragoman.rules.errors import Unavailable
from dragoman.store.drivers.sqlite import SqliteDriver
from dragoman.store.query import Query
from dragoman.store.schema import users
from tests.faults import write_load
from tests.faults.postgresql_outage import breakable_postgresql
from tests.faults.write_load import API
from tests.support.databases import ADMIN_PASSWORD
from tests.support.processes import checked_server, wait_for, workers
from tests.support.server import Server, running_server

CALLS = 24
"""On connections of their own: each of two workers answers some of them."""
BEGUN_S = 20.0
BACK_S = 10.0

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.mark.postgresql
def test_while_postgresql_is_stopped(real_hashes: None, tmp_path: Path) -> None:
    with (
        breakable_postgresql() as outage,
        checked_server(outage.database("away"), tmp_path, workers=2) as server,
    ):
        token, _ = write_load.sign_in_as_admin(server.url)
        outage.stop()
        try:
            kill_one_worker(server)
            assert statuses(server, "/healthz") == {200}
            assert (
                statuses(server, "/readyz") == statuses(server, f"{API}/auth/user/", token) == {503}
            )
        finally:
            outage.start()
        assert wait_for(lambda: statuses(server, "/readyz") == {200}, BACK_S)
        assert statuses(server, f"{API}/auth/user/", token) == {200}


@pytest.mark.sqlite
@pytest.mark.parametrize("blocked", [False, True], ids=["gone", "in the way"])
@pytest.mark.parametrize("backend", ["sqlite"])
def test_while_the_file_is_away(
    real_hashes: None, database: str, tmp_path: Path, *, blocked: bool
) -> None:
    """All say 503, who has it open and who comes new, and all find it when it is back.

    None makes an empty one instead.
    """
    with checked_server(database, tmp_path, workers=2) as server:
        token, _ = write_load.sign_in_as_admin(server.url)
        let_both_answer(server, token)
        with file_moved_away(Path(database.removeprefix("sqlite:///")), blocked=blocked):
            kill_one_worker(server)
            assert statuses(server, "/healthz") == {200}
            assert wait_for(lambda: listener_count(server.port) >= 2, BEGUN_S)
            assert statuses(server, "/readyz") == {503}
            assert statuses(server, f"{API}/auth/user/", token) == {503}
        assert statuses(server, "/readyz") == statuses(server, f"{API}/auth/user/", token) == {200}


@pytest.mark.sqlite
def test_while_the_key_is_away_too(real_hashes: None, tmp_path: Path) -> None:
    """The next worker has the key that the others have, and makes no other one."""
    settings = {"DRAGOMAN_DATABASE": "sqlite:///d.db", "DRAGOMAN_ADMIN_PASSWORD": ADMIN_PASSWORD}
    with running_server(settings, tmp_path, "--workers", "2") as server:
        let_both_answer(server)
        with (
            file_moved_away(tmp_path / "d.db", blocked=False),
            file_moved_away(tmp_path / "dragoman.key", blocked=False),
        ):
            kill_one_worker(server)
            assert wait_for(lambda: listener_count(server.port) >= 2, BEGUN_S)
            assert statuses(server, "/readyz") == {503}
        assert wait_for(lambda: statuses(server, "/readyz") == {200}, BACK_S)


def kill_one_worker(server: Server) -> None:
    """Kill one of the workers; the next one tells that it began without the database."""
    main = server.process
    assert main is not None
    before = workers(server)
    os.kill(before[0], signal.SIGKILL)
    assert wait_for(lambda: "database_away" in server.output() or main.poll() is not None, BEGUN_S)
    assert main.poll() is None, f"the main process has ended\n{server.output()}"
    assert before[1] in workers(server), "the other one has ended"


def let_both_answer(server: Server, token: str = "") -> None:
    """Wait until both workers listen, and let each open the database, while it is there."""
    assert wait_for(lambda: listener_count(server.port) >= 2, BEGUN_S)
    assert statuses(server, "/readyz") == {200}
    if token:
        assert statuses(server, f"{API}/auth/user/", token) == {200}


def listener_count(port: int) -> int:
    """Return how many sockets listen on a port of this machine: one for each worker."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(f":{port:04X} 00000000:0000 0A" in row for row in rows)


def statuses(server: Server, path: str, token: str = "") -> set[int]:
    """Return the statuses of some calls, each on a connection of its own."""
    headers = {"Authorization": f"Token {token}"} if token else {}
    url = f"{server.url}{path}"
    return {httpx.get(url, headers=headers, timeout=10).status_code for _ in range(CALLS)}


@contextlib.contextmanager
def file_moved_away(path: Path, *, blocked: bool) -> Iterator[None]:
    """Put a file aside for the length of a block; if blocked, none can be made in its place."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    if blocked:
        path.mkdir()
    try:
        yield
        assert path.exists() == blocked, "an empty one was made"
    finally:
        if blocked:
            path.rmdir()
        aside.rename(path)


@pytest.mark.anyio
@pytest.mark.sqlite
@pytest.mark.parametrize("blocked", [False, True], ids=["gone", "in the way"])
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_driver_that_could_not_open_its_file_tries_again(
    database: str, *, blocked: bool
) -> None:
    """Whichever way it is asked; what it says until then is that the database cannot serve."""
    count = Query[int](sa.select(sa.func.count()).select_from(users))
    indexed = Query[int](sa.select(sa.func.count()).select_from(users), indexed=True)
    path = Path(database.removeprefix("sqlite:///"))
    driver = SqliteDriver(path)

    async def change() -> int:
        async with driver.session() as session:
            return await session.run(Query(sa.update(users).values(id=users.c.id)), {})

    ways: tuple[Callable[[], Awaitable[object]], ...] = (
        driver.current_revision,
        lambda: driver.fetch(indexed, {}),
        lambda: driver.fetch(count, {}),
        change,
    )
    try:
        with file_moved_away(path, blocked=blocked):
            with pytest.raises(Unavailable):
                await driver.open()
            for way in ways:
                with pytest.raises(Unavailable):
                    await way()
        for way in ways:
            assert await way()
    finally:
        await driver.close()
