"""Bare Granian application that gives the same answer as a retrieve, without routes or rules.

One statement finds credential, caller and target. ``BASELINE_KIND`` selects how it runs:

- ``prepared``: asyncpg, one execution of a prepared statement per request;
- ``batched``: asyncpg, one statement for all waiting requests;
- ``sqlite``: read directly in the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from dragoman.dialects.wiwebb.schemas import ROLE_NAMES, UserOut
from dragoman.rules.model import Role
from dragoman.store.drivers import sqlite

DATABASE = os.environ.get("BASELINE_DATABASE", "")
CONNECTIONS = 4
MAX_IN_FLIGHT = 2
"""Concurrent batched statements; as many as in Dragoman."""

COLUMNS = (
    "u.id, u.username, u.email, u.first_name, u.last_name, u.role, u.tenant_id, t.name,"
    " u.active, u.phone, u.bio, u.url, u.company, u.location, u.created_at, u.last_login_at"
)
JOINS = (
    " JOIN users c ON c.id = k.user_id AND c.auth_epoch = k.user_epoch AND c.active"
    " LEFT JOIN tenants t ON t.id = u.tenant_id"
)
SELECT_ONE = (
    f"SELECT {COLUMNS} FROM tokens k JOIN users u ON u.id = $2{JOINS} WHERE k.digest = $1"
    " AND u.deleted_at IS NULL"
)
SELECT_MANY = (
    f"SELECT q.n, {COLUMNS} FROM unnest($1::bytea[], $2::bigint[]) WITH ORDINALITY AS q(d, i, n)"
    f" JOIN tokens k ON k.digest = q.d JOIN users u ON u.id = q.i AND u.deleted_at IS NULL{JOINS}"
)

Find = Callable[[bytes, int], Awaitable[Any]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROLES = tuple(ROLE_NAMES[role] for role in Role)
_encode = msgspec.json.Encoder().encode


async def _connect() -> Any:
    options = {"jit": "off", "plan_cache_mode": "force_generic_plan"}
    return await asyncpg.connect(DATABASE, server_settings=options)


async def _prepared() -> Find:
    idle: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await (await _connect()).prepare(SELECT_ONE))

    async def find(digest: bytes, user_id: int) -> Any:
        statement = await idle.get()
        try:
            return await statement.fetchrow(digest, user_id)
        finally:
            idle.put_nowait(statement)

    return find


async def _batched() -> Find:
    loop = asyncio.get_running_loop()
    idle = [await (await _connect()).prepare(SELECT_MANY) for _ in range(MAX_IN_FLIGHT)]
    waiting: list[tuple[bytes, int, asyncio.Future[Any]]] = []
    tasks: set[asyncio.Task[None]] = set()

    def find(digest: bytes, user_id: int) -> Awaitable[Any]:
        future: asyncio.Future[Any] = loop.create_future()
        waiting.append((digest, user_id, future))
        if idle and len(waiting) == 1:
            loop.call_soon(dispatch)
        return future

    def dispatch() -> None:
        if waiting and idle:
            batch = waiting.copy()
            waiting.clear()
            task = loop.create_task(run_batch(idle.pop(), batch))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def run_batch(
        statement: Any, batch: list[tuple[bytes, int, asyncio.Future[Any]]]
    ) -> None:
        digests, ids, futures = zip(*batch, strict=True)
        found = {row[0]: row for row in await statement.fetch(digests, ids)}
        idle.append(statement)
        dispatch()
        for n, future in enumerate(futures, start=1):
            row = found.get(n)
            future.set_result(None if row is None else tuple(row)[1:])

    return find


async def _sqlite() -> Find:
    connection = sqlite.connect(Path(DATABASE.removeprefix("sqlite:///")))
    one = SELECT_ONE.replace("$1", "?1").replace("$2", "?2")

    async def find(digest: bytes, user_id: int) -> Any:
        return connection.execute(one, (digest, user_id)).fetchone()

    return find


def _timestamp(microseconds: int) -> datetime | None:
    return _EPOCH + timedelta(microseconds=microseconds) if microseconds else None


def _body(row: Any) -> bytes:
    values: list[Any] = [*row[:5], _ROLES[row[5]], *row[6:8], bool(row[8]), *row[9:14]]
    values += map(_timestamp, row[14:])
    return _encode(UserOut(*values))


class Application:
    """Answers ``GET …/users/{id}/`` with ``Authorization: Token …``; everything else gets 404."""

    def __init__(self) -> None:
        self.find: Find | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Open the database at startup, then answer requests."""
        if scope["type"] == "lifespan":
            await receive()
            self.find = await OPEN_DATABASE[os.environ["BASELINE_KIND"]]()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, body = 404, b"{}"
        if scope["path"] == "/readyz":
            status = 200
        else:
            headers = dict(scope["headers"])
            digest = sha256(headers[b"authorization"][6:]).digest()
            assert self.find is not None
            row = await self.find(digest, int(scope["path"].rstrip("/").rpartition("/")[2]))
            if row is not None:
                status, body = 200, _body(row)
        lines = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body, "more_body": False})


OPEN_DATABASE = {"prepared": _prepared, "batched": _batched, "sqlite": _sqlite}
application = Application()
