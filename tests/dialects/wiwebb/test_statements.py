"""How many statements a request costs, counted where the drivers hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from dragoman.actions import upkeep
from dragoman.store import sqlite
from tests.support.databases import settings_for
from tests.support.running import running
from tests.support.world import NOBODY, World

USERS = "/api/v1/users/"


class Statements(list[str]):
    """Every statement that was executed, in order; what sets a connection up is left out."""

    async def settle(self) -> None:
        """Let whatever was under way come in, then forget it."""
        await asyncio.sleep(0.05)
        self.clear()

    async def of(self, client: httpx.AsyncClient, path: str, *, status: int, token: str) -> int:
        """Return what one request costs on an idle server whose connections are open."""
        headers = {"Authorization": f"Token {token}"} if token else {}
        for _ in range(2):  # the first opens connections and prepares
            await self.settle()
            answer = await client.get(path, headers=headers)
            assert answer.status_code == status, answer.text
        await asyncio.sleep(0.05)
        return len(self)

    def note(self, statement: str) -> None:
        """Take down one statement; those marked ``--`` SQLite runs inside another one."""
        if not statement.lstrip().startswith(("--", "PRAGMA")):
            self.append(statement)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """What both drivers execute from now on, but for the upkeep, which rests."""
    executed = Statements()
    connect_sqlite, connect_postgres = sqlite.connect, asyncpg.connect

    def listened(*args: Any, **kwargs: Any) -> Any:
        connection = connect_sqlite(*args, **kwargs)
        connection.set_trace_callback(executed.note)
        return connection

    async def logged(*args: Any, **kwargs: Any) -> Any:
        connection = await connect_postgres(*args, **kwargs)
        connection.add_query_logger(lambda record: executed.note(record.query))
        return connection

    monkeypatch.setattr(sqlite, "connect", listened)
    monkeypatch.setattr(asyncpg, "connect", logged)
    monkeypatch.setattr(upkeep, "BEAT_S", 3600)
    return executed


@pytest.fixture
async def client(
    statements: Statements, inhabited: tuple[str, World]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application on the inhabited database, every statement taken down."""
    database, _ = inhabited
    async with running(settings_for(database)) as client:
        await statements.settle()
        yield client


@pytest.fixture
def world(inhabited: tuple[str, World]) -> World:
    """Who lives there."""
    return inhabited[1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("who", "whom"),
    [("root", "mia"), ("ada", "gus"), ("olga", "mia"), ("mia", "mia"), ("root", "root")],
)
async def test_a_retrieve_costs_one_statement(
    client: httpx.AsyncClient, statements: Statements, world: World, who: str, whom: str
) -> None:
    """Credential, its owner, tenant, permissions and the user asked for: one look."""
    path, token = f"{USERS}{world.people[whom].id}/", world.people[who].token
    assert await statements.of(client, path, status=200, token=token) == 1, statements


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("who", "path", "status", "most"),
    [
        ("root", f"{USERS}{NOBODY}/", 404, 2),
        ("olga", f"{USERS}{{gus}}/", 404, 2),
        ("mia", f"{USERS}{{olga}}/", 404, 2),
        ("mia", USERS, 403, 1),
        ("mia", "/api/v1/auth/user/", 200, 2),
        ("mia", "/api/v1/tenants/me/", 200, 3),
        ("root", "/api/v1/tenants/{acme}/", 200, 3),
        ("root", "/api/v1/nowhere/", 404, 0),
    ],
)
async def test_other_reads_cost_few(
    client: httpx.AsyncClient,
    statements: Statements,
    world: World,
    who: str,
    path: str,
    status: int,
    most: int,
) -> None:
    """A refusal is no dearer than an answer."""
    path = path.format_map(world.variables())
    cost = await statements.of(client, path, status=status, token=world.people[who].token)
    assert cost <= most, statements


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("token", "cost"),
    [("0" * 40, 1), ("no-token-of-ours", 1), ("", 0), ("two words", 0), ("x" * 5000, 0)],
)
async def test_a_stranger_costs_one_statement_at_most(
    client: httpx.AsyncClient, statements: Statements, world: World, token: str, cost: int
) -> None:
    """What cannot be a credential is not looked for."""
    path = f"{USERS}{world.people['mia'].id}/"
    assert await statements.of(client, path, status=401, token=token) == cost, statements


@pytest.mark.anyio
@pytest.mark.parametrize("who", ["root", "olga"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?page_size=100",
        "?page_size=2&page=2",
        "?ordering=-date_joined",
        "?role=subscriber&is_active=true",
        "?tenant={acme}&role=subscriber&is_active=true&ordering=-username&page_size=1",
        "?search=mia",
        "?search=m",
        "?search=acme+ol&role=tenant_owner",
    ],
)
async def test_a_page_costs_four_statements_at_most(
    client: httpx.AsyncClient, statements: Statements, world: World, who: str, query: str
) -> None:
    """However many rows it has and whatever narrows it."""
    path = USERS + query.format_map(world.variables())
    cost = await statements.of(client, path, status=200, token=world.people[who].token)
    assert cost <= 4, statements


@pytest.mark.anyio
async def test_the_last_page_costs_one_look_more(
    client: httpx.AsyncClient, statements: Statements, world: World
) -> None:
    """Its number is not known before the count."""
    path, token = f"{USERS}?page_size=2&page=last", world.people["root"].token
    assert await statements.of(client, path, status=200, token=token) <= 5, statements


@pytest.mark.anyio
async def test_reads_of_one_moment_travel_together(
    client: httpx.AsyncClient, statements: Statements, world: World, backend: str
) -> None:
    """The busier the server, the fewer statements a request costs; everyone gets the own answer."""
    callers = [world.people[name] for name in ("root", "ada", "olga", "otto", "mia", "gil", "gus")]

    async def retrieve(number: int) -> None:
        caller = callers[number % len(callers)]
        whom = callers[number // 7 % len(callers)]
        headers = {"Authorization": f"Token {caller.token}"}
        answer = await client.get(f"{USERS}{whom.id}/", headers=headers)
        if caller.username in {"admin", "ada"} or caller is whom:
            assert answer.json()["username"] == whom.username
        elif answer.status_code == 200:
            assert {caller.username, whom.username} <= {"olga", "otto", "mia"} or (
                {caller.username, whom.username} == {"gil", "gus"}
            )
            assert answer.json()["username"] == whom.username
        else:
            assert answer.status_code == 404, answer.text

    await asyncio.gather(*(retrieve(n) for n in range(8)))
    await statements.settle()
    await asyncio.gather(*(retrieve(n) for n in range(210)))
    await asyncio.sleep(0.05)
    if backend == "postgresql":
        assert len(statements) <= 70, len(statements)
    else:  # read where they are asked for: one each, and a second one for what is not there
        assert len(statements) <= 420
