"""The outbox as tests use it: a directory with a mail server, what waits, and how time passes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import sqlalchemy as sa

from dragoman import app
from dragoman.actions import password_resets
from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.rules.actor import Actor
from dragoman.rules.vocabulary import UNRESTRICTED
from dragoman.store import outbox, schema
from dragoman.store.outbox import OutboxMessage
from dragoman.store.query import Query
from tests.support.databases import settings_for

SYSTEM_ACTOR = system_actor("tests")
VISITOR = Actor(kind="visitor", contract="wiwebb", restrictions=UNRESTRICTED, address="127.0.0.1")
PUBLIC_URL = "https://users.example.com/directory"
MIA, OLGA, GUS = "mia@acme.test", "olga@acme.test", "gus@globex.test"


@contextlib.asynccontextmanager
async def open_directory(database: str, smtp_url: str, **changes: Any) -> AsyncGenerator[Directory]:
    settings = settings_for(database, smtp_url=smtp_url, public_url=PUBLIC_URL, **changes)
    async with app.open_directory(settings) as directory:
        yield directory


async def request_reset(directory: Directory, *addresses: str) -> None:
    for address in addresses:
        await password_resets.request_reset(directory, VISITOR, address)


async def outbox_rows(directory: Directory) -> list[OutboxMessage]:
    """What the outbox holds, oldest first."""
    return (await outbox.list_latest(directory.read(SYSTEM_ACTOR)))[::-1]


async def execute(directory: Directory, statement: Any) -> None:
    async with directory.begin(SYSTEM_ACTOR) as tx:
        await tx.run(Query(statement))


async def make_due(directory: Directory) -> None:
    await execute(directory, sa.update(schema.outbox).values(due_at=1))


async def shift_outbox_times(directory: Directory, microseconds: int) -> None:
    earlier = schema.outbox.c.created_at - microseconds
    await execute(directory, sa.update(schema.outbox).values(created_at=earlier, due_at=1))
