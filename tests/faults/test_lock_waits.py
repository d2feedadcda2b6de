"""PostgreSQL holds everything up by locks: who waits is told, soon; reads by key go on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.faults.probe_client import (
    CONCURRENT_CALLERS,
    MAX_ANSWER_S,
    MAX_RECOVERY_S,
    READS,
    SIGN_IN,
    TOLERANCE_S,
    WRITES,
    ProbeClient,
    ProbeRequest,
    probing,
)
from tests.support.processes import wait_for

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(120)]

only_postgresql = pytest.mark.parametrize("backend", ["postgresql"])
BY_KEY = (READS[0], READS[3])
"""A user and oneself: they have connections of their own."""


@contextlib.contextmanager
def hold_locks(database: str, statement: str) -> Iterator[None]:
    """Let somebody else hold what a statement locks."""
    with asyncio.Runner() as runner:
        connection: Any = runner.run(asyncpg.connect(database))
        runner.run(connection.execute("BEGIN"))
        runner.run(connection.execute(statement))
        try:
            yield
        finally:
            runner.run(connection.execute("ROLLBACK"))
            runner.run(connection.close())


@only_postgresql
def test_everybody_waits_for_one_row(database: str, tmp_path: Path) -> None:
    """More changes of one user than there are connections: all are told, and nobody hangs."""
    with probing(database, tmp_path) as caller, ThreadPoolExecutor(CONCURRENT_CALLERS) as pool:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
        with hold_locks(database, "SELECT 1 FROM users WHERE username = 'keep' FOR UPDATE"):
            asked = [
                pool.submit(timed_request, caller, WRITES[0]) for _ in range(CONCURRENT_CALLERS)
            ]
            while not all(each.done() for each in asked):
                assert caller.unexpected_answers(*BY_KEY) == []
            outcomes = sorted(each.result() for each in asked)
            assert {(status, after) for _, status, after in outcomes} == {(503, True)}
            assert outcomes[CONCURRENT_CALLERS // 2][0] < MAX_ANSWER_S + TOLERANCE_S, outcomes
            assert outcomes[-1][0] < 2 * MAX_ANSWER_S + TOLERANCE_S, (
                "once for a connection, once for the lock"
            )
            assert caller.unexpected_answers(*READS) == [], "who was told holds nothing up any more"
        assert is_serving_again(caller)


def timed_request(caller: ProbeClient, asked: ProbeRequest) -> tuple[float, int, bool]:
    """Ask; return after how many seconds, the status, and whether it says when to come back."""
    began = time.monotonic()
    answer = caller.ask(asked)
    took = time.monotonic() - began
    return took, answer.status_code, answer.headers.get("Retry-After", "").isdigit()


@only_postgresql
def test_everybody_waits_for_one_table(database: str, tmp_path: Path) -> None:
    """As when somebody rebuilds a table by hand: reads of it wait as well, and are told."""
    with probing(database, tmp_path) as caller:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
        with hold_locks(database, "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"):
            assert (
                caller.not_unavailable_concurrently(
                    *(READS * CONCURRENT_CALLERS)[:CONCURRENT_CALLERS], *WRITES, SIGN_IN
                )
                == []
            )
            assert caller.not_unavailable(READS[0], SIGN_IN) == []
        assert is_serving_again(caller)


@only_postgresql
def test_nobody_else_is_let_in(database: str, tmp_path: Path) -> None:
    """All connections that the server gives are taken: callers are told until some are free."""
    name = f"plain_{secrets.token_hex(4)}"
    with plain_user(database, name) as url, probing(url, tmp_path) as caller:
        assert caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == []
        run(database, f'ALTER ROLE "{name}" CONNECTION LIMIT 0')
        run(database, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")  # fmt: skip
        assert caller.not_unavailable_concurrently(*READS, *WRITES, SIGN_IN) == []
        assert caller.health() == (200, 503)
        run(database, f'ALTER ROLE "{name}" CONNECTION LIMIT -1')
        assert is_serving_again(caller)


@contextlib.contextmanager
def plain_user(database: str, name: str) -> Iterator[str]:
    """Make a user of the database who is not its owner, as a server should be; yield its URL."""
    run(database, f'CREATE ROLE "{name}" LOGIN')
    try:
        for things in ("TABLES", "SEQUENCES"):
            run(database, f'GRANT ALL ON ALL {things} IN SCHEMA public TO "{name}"')
        yield database.replace("//dragoman@", f"//{name}@")
    finally:
        run(database, f'DROP OWNED BY "{name}"')
        run(database, f'DROP ROLE "{name}"')


def is_serving_again(caller: ProbeClient) -> bool:
    """Say whether everything is served again, soon."""
    return wait_for(
        lambda: caller.unexpected_answers(*READS, *WRITES, SIGN_IN) == [], MAX_RECOVERY_S
    )


def run(database: str, statement: str) -> None:
    """Run a statement on a connection of its own."""

    async def run() -> None:
        connection: Any = await asyncpg.connect(database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
