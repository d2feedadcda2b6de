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
from dragoman.rules.vocabulary import NOTHING_NARROWED
from dragoman.store import outbox, schema
from dragoman.store.outbox import Waiting
from dragoman.store.query import Query
from tests.support.databases import settings_for

MACHINE = system_actor("tests")
VISITOR = Actor(kind="visitor", contract="wiwebb", narrowing=NOTHING_NARROWED, address="127.0.0.1")
HERE = "https://users.example.com/directory"
MIA, OLGA, GUS = "mia@acme.test", "olga@acme.test", "gus@globex.test"


@contextlib.asynccontextmanager
async def directory_of(database: str, smtp_url: str, **changes: Any) -> AsyncGenerator[Directory]:
    settings = settings_for(database, smtp_url=smtp_url, public_url=HERE, **changes)
    async with app.opened(settings) as directory:
        yield directory


async def ask(directory: Directory, *addresses: str) -> None:
    for address in addresses:
        await password_resets.request_reset(directory, VISITOR, address)


async def waiting(directory: Directory) -> list[Waiting]:
    """What the outbox holds, oldest first."""
    return (await outbox.latest(directory.read(MACHINE)))[::-1]


async def change(directory: Directory, statement: Any) -> None:
    async with directory.begin(MACHINE) as tx:
        await tx.run(Query(statement))


async def make_due(directory: Directory) -> None:
    await change(directory, sa.update(schema.outbox).values(due_at=1))


async def age(directory: Directory, microseconds: int) -> None:
    earlier = schema.outbox.c.created_at - microseconds
    await change(directory, sa.update(schema.outbox).values(created_at=earlier, due_at=1))
