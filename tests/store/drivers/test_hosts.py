"""Several hosts in one DSN: the one that accepts is found, whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from dragoman.store.drivers.hosts import CONNECTION_ATTEMPT_DELAY_S, Hosts, ping, split_hosts
from dragoman.store.drivers.pool import Pool
from tests.support.databases import query
from tests.support.server import free_port

pytestmark = [pytest.mark.postgresql, pytest.mark.anyio]

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])
TIMEOUT_S = 5.0


@pytest.fixture
def silent_address() -> Iterator[str]:
    """The address of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def among(database: str, *others: str) -> str:
    """Return a DSN in which these hosts come first."""
    parts = urlsplit(database)
    hosts = ",".join((*others, f"{parts.hostname}:{parts.port}"))
    return f"postgresql://{parts.username}@{hosts}{parts.path}?target_session_attrs=read-write"


@pytest.mark.parametrize(
    ("dsn", "each"),
    [
        ("postgresql://one/name", ["postgresql://one/name"]),
        ("postgresql:///name?host=/run", ["postgresql:///name?host=/run"]),
        ("postgresql://u:p@a:1,b/n?x=1,2", ["postgresql://u:p@a:1/n?x=1,2",
                                            "postgresql://u:p@b/n?x=1,2"]),
        ("postgres://u%40x@[::1]:5,[::2]", ["postgres://u%40x@[::1]:5", "postgres://u%40x@[::2]"]),
        ("nonsense", ["nonsense"]),
    ],
)  # fmt: skip
def test_split_hosts_returns_a_dsn_per_host(dsn: str, each: list[str]) -> None:
    assert split_hosts(dsn) == each


@only_postgresql
async def test_hosts_that_refuse_or_do_not_respond_are_skipped(
    database: str, silent_address: str
) -> None:
    hosts = Hosts(among(database, silent_address, f"127.0.0.1:{free_port()}", silent_address))
    began = time.monotonic()
    connection: Any = await hosts.connect(timeout=TIMEOUT_S)
    assert time.monotonic() - began < TIMEOUT_S - 1, "the driver alone would wait for all of it"
    assert await connection.fetchval("SELECT 1") == 1
    began = time.monotonic()
    again: Any = await hosts.connect(timeout=TIMEOUT_S)
    assert time.monotonic() - began < CONNECTION_ATTEMPT_DELAY_S + 1, (
        "and who served is asked first"
    )
    await ping(connection, timeout=TIMEOUT_S)
    for each in (connection, again):
        await each.close()


@only_postgresql
async def test_a_host_without_the_database_is_skipped(database: str) -> None:
    """Like a standby that has not replicated a new database yet."""
    elsewhere = urlsplit(database)._replace(path="/not_there").geturl()
    hosts = Hosts(among(database))
    hosts._dsns.insert(0, elsewhere)
    connection: Any = await hosts.connect(timeout=TIMEOUT_S)
    assert connection.dsn == hosts._dsns[0] != elsewhere
    await connection.close()


async def test_an_error_is_raised_if_no_host_accepts(silent_address: str) -> None:
    refusing = f"postgresql://nobody@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/name"
    with pytest.raises(OSError, match="Connect"):
        await Hosts(refusing).connect(timeout=TIMEOUT_S)
    with pytest.raises(TimeoutError):
        await Hosts(f"postgresql://nobody@{silent_address},{silent_address}/name").connect(
            timeout=0.6
        )


class Announcer:
    """A proxy that announces a server's parameters as it likes, as PgBouncer does after a failover."""

    def __init__(self, database: str, name: bytes, value: bytes) -> None:
        self._server = urlsplit(database)
        self._pattern = re.compile(rb"S....(" + name + rb")\0o(?:n|ff)\0", re.DOTALL)
        self._announced = b"S" + (len(name + value) + 6).to_bytes(4) + name + b"\0" + value + b"\0"
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def dsn(self) -> AsyncIterator[str]:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        netloc = f"{self._server.username}@127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        query = "sslmode=disable&target_session_attrs=read-write"
        try:
            yield self._server._replace(netloc=netloc, query=query).geturl()
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(self._server.hostname, self._server.port)
        for each in (self._forward(reader, requests), self._forward(answers, writer)):
            self._tasks.add(asyncio.create_task(each))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(self._pattern.sub(self._announced, data))


@only_postgresql
async def test_the_server_is_asked_whether_it_accepts_writes(database: str) -> None:
    """PgBouncer announces what its server was once: https://github.com/pgbouncer/pgbouncer/issues/859."""
    async with Announcer(database, b"in_hot_standby", b"on").dsn() as dsn:
        connection: Any = await Hosts(dsn).connect(timeout=TIMEOUT_S)
        assert connection.get_settings().in_hot_standby == "on"
        await connection.close()
    name = urlsplit(database).path.removeprefix("/")
    await query(database, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with Announcer(database, b"default_transaction_read_only", b"off").dsn() as dsn:
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
            await Hosts(dsn).connect(timeout=TIMEOUT_S)


@only_postgresql
async def test_pools_leave_a_host_together(database: str) -> None:
    """A connection through a proxy may survive its server's fall to a standby, and read old rows."""
    parts = urlsplit(database)
    dsn = f"postgresql://{parts.username}@127.0.0.1:{parts.port},localhost:{parts.port}{parts.path}"
    hosts = Hosts(dsn)
    one, other = Pool(hosts, 1), Pool(hosts, 1)
    in_use = await one.take()
    async with other.connection() as before:
        pass
    hosts._dsns.reverse()
    async with other.connection() as after:
        assert before.is_closed()
        assert after.dsn != before.dsn
    one.give_back(in_use, 0.0)
    assert in_use.is_closed()
    async with one.connection() as connection:
        assert connection.dsn == after.dsn
    for pool in (one, other):
        await pool.close()


@only_postgresql
async def test_the_error_of_the_refusing_host_is_raised(database: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await Hosts(urlsplit(database)._replace(path="/not_there").geturl()).connect(
            timeout=TIMEOUT_S
        )
