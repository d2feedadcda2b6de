"""Several hosts in one DSN: the one that accepts is found, whatever the others do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from dragoman.store.drivers.hosts import CONNECTION_ATTEMPT_DELAY_S, Hosts, ping, split_hosts
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


@only_postgresql
async def test_the_error_of_the_refusing_host_is_raised(database: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await Hosts(urlsplit(database)._replace(path="/not_there").geturl()).connect(
            timeout=TIMEOUT_S
        )
