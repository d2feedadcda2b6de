"""How many statements a request costs, counted where the drivers hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from dragoman.jobs import background
from dragoman.store.drivers import sqlite
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import MISSING_USER_ID, World

USERS = "/api/v1/users/"
SETTLE_S = 0.02
"""After so long nothing is under way any more."""


class StatementRecorder(list[str]):
    """Every statement that was executed, in order; what sets a connection up is left out."""

    async def settle(self) -> None:
        """Let whatever was under way come in, then forget it."""
        await asyncio.sleep(SETTLE_S)
        self.clear()

    async def count_for(
        self, client: httpx.AsyncClient, path: str, *, status: int, token: str
    ) -> int:
        """Return what one request costs on an idle server whose connections are open."""
        headers = {"Authorization": f"Token {token}"} if token else {}
        for _ in range(2):  # the first opens connections and prepares
            await self.settle()
            answer = await client.get(path, headers=headers)
            assert answer.status_code == status, answer.text
        await asyncio.sleep(SETTLE_S)
        return len(self)

    def record(self, statement: str) -> None:
        """Take down one statement; those marked ``--`` SQLite runs inside another one."""
        if not statement.lstrip().startswith(("--", "PRAGMA")):
            self.append(statement)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> StatementRecorder:
    """What both drivers execute from now on, but for the upkeep, which rests."""
    executed = StatementRecorder()
    connect_sqlite, connect_postgres = sqlite.connect, asyncpg.connect

    def listened(*args: Any, **kwargs: Any) -> Any:
        connection = connect_sqlite(*args, **kwargs)
        connection.set_trace_callback(executed.record)
        return connection

    async def logged(*args: Any, **kwargs: Any) -> Any:
        connection = await connect_postgres(*args, **kwargs)
        connection.add_query_logger(lambda record: executed.record(record.query))
        return connection

    monkeypatch.setattr(sqlite, "connect", listened)
    monkeypatch.setattr(asyncpg, "connect", logged)
    monkeypatch.setattr(background, "TICK_S", 3600)
    return executed


@pytest.fixture
async def client(
    statements: StatementRecorder, seeded_database: tuple[str, World]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on the inhabited database, every statement taken down."""
    database, _ = seeded_database
    async with running_client(settings_for(database)) as client:
        await statements.settle()
        yield client


@pytest.fixture
def world(seeded_database: tuple[str, World]) -> World:
    """Who lives there."""
    return seeded_database[1]


@pytest.mark.anyio
async def test_a_retrieve_costs_one_statement(
    client: httpx.AsyncClient, statements: StatementRecorder, world: World
) -> None:
    """Credential, its owner, tenant, permissions and the user asked for: one look."""
    people = world.people
    for who, whom in ("root", "mia"), ("ada", "gus"), ("olga", "mia"), ("mia", "mia"):
        path, token = f"{USERS}{people[whom].id}/", people[who].token
        cost = await statements.count_for(client, path, status=200, token=token)
        assert cost == 1, (who, whom, *statements)


@pytest.mark.anyio
async def test_other_reads_cost_few(
    client: httpx.AsyncClient, statements: StatementRecorder, world: World
) -> None:
    """A refusal is no dearer than an answer."""
    for who, path, status, most in (
        ("root", f"{USERS}{MISSING_USER_ID}/", 404, 2),
        ("olga", f"{USERS}{{gus}}/", 404, 2),
        ("mia", f"{USERS}{{olga}}/", 404, 2),
        ("mia", USERS, 403, 1),
        ("mia", "/api/v1/auth/user/", 200, 2),
        ("mia", "/api/v1/tenants/me/", 200, 3),
        ("root", "/api/v1/tenants/{acme}/", 200, 3),
        ("root", "/api/v1/nowhere/", 404, 1),
    ):
        filled, token = path.format_map(world.variables()), world.people[who].token
        cost = await statements.count_for(client, filled, status=status, token=token)
        assert cost <= most, (who, path, *statements)


@pytest.mark.anyio
async def test_a_stranger_costs_one_statement_at_most(
    client: httpx.AsyncClient, statements: StatementRecorder, world: World
) -> None:
    """A token that nobody has is looked for once; what cannot be one is not looked for."""
    path = f"{USERS}{world.people['mia'].id}/"
    for token, expected in (
        ("0" * 40, 1),
        ("no-token-of-ours", 1),
        ("", 0),
        ("two words", 0),
        ("x" * 5000, 0),
    ):
        cost = await statements.count_for(client, path, status=401, token=token)
        assert cost == expected, (token[:20], *statements)


@pytest.mark.anyio
async def test_a_page_costs_four_statements_at_most(
    client: httpx.AsyncClient, statements: StatementRecorder, world: World
) -> None:
    """However many rows it has and whatever narrows it."""
    for query, most in (
        ("", 4),
        ("?page_size=100", 4),
        ("?page_size=2&page=2", 4),
        ("?page_size=2&page=last", 5),  # its number is not known before the count
        ("?ordering=-date_joined", 4),
        ("?role=subscriber&is_active=true", 4),
        ("?tenant={acme}&role=subscriber&is_active=true&ordering=-username&page_size=1", 4),
        ("?search=mia", 4),
        ("?search=m", 4),
        ("?search=acme+ol&role=tenant_owner", 4),
    ):
        path = USERS + query.format_map(world.variables())
        for who in "root", "olga":
            cost = await statements.count_for(
                client, path, status=200, token=world.people[who].token
            )
            assert cost <= most, (who, query, *statements)


@pytest.mark.anyio
async def test_reads_of_one_moment_travel_together(
    client: httpx.AsyncClient, statements: StatementRecorder, world: World
) -> None:
    """The busier the server, the fewer statements a request costs; each gets the own answer."""
    callers = [world.people[name] for name in ("root", "ada", "olga", "otto", "mia", "gil", "gus")]
    owned = {
        "olga": {"olga", "otto", "mia"},
        "otto": {"olga", "otto", "mia"},
        "gil": {"gil", "gus"},
    }
    wrong: list[str] = []

    async def retrieve(number: int) -> None:
        caller, whom = callers[number % 7], callers[number // 7 % 7]
        headers = {"Authorization": f"Token {caller.token}"}
        answer = await client.get(f"{USERS}{whom.id}/", headers=headers)
        mine = caller.username in {"admin", "ada"} or whom.username in (
            owned.get(caller.username, {caller.username})
        )
        expected = (200, whom.username) if mine else (404, None)
        if (answer.status_code, answer.json().get("username")) != expected:
            wrong.append(f"{caller.username} asks for {whom.username}: {answer.text}")

    await asyncio.gather(*(retrieve(n) for n in range(49)))
    await statements.settle()
    await asyncio.gather(*(retrieve(n) for n in range(196)))
    await asyncio.sleep(SETTLE_S)
    assert wrong == []
    assert len(statements) <= 49, len(statements)
