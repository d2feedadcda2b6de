"""The one way to the tables: reads on somebody's behalf, and the transaction of one change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dragoman.rules.errors import Unauthenticated
from dragoman.rules.model import Actor, User
from dragoman.store import counts, users
from dragoman.store.engine import Driver, Lock, Read, Tx


class Database:
    """The one way to the tables; made by ``app.py`` for a driver."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def read(self, actor: Actor, ahead: User | None = None) -> Read:
        """Read on this actor's behalf."""
        return Read(self.driver, actor, ahead)

    @asynccontextmanager
    async def begin(self, actor: Actor, *, holding: Lock | None = None) -> AsyncGenerator[Tx]:
        """Open the transaction of one change.

        It commits when the block ends and rolls back when an exception leaves it. The actor's
        standing is looked at again inside it, because hashing may have kept the request waiting:
        raises Unauthenticated if the actor was cut off meanwhile, Unavailable if the database
        cannot serve. ``holding`` is a lock that is held from the beginning.
        """
        long = actor.kind == "system"
        async with self.driver.session(long=long, holding=holding) as session:
            tx = Tx(session, actor)
            if actor.kind == "user" and not await users.stands(tx, actor):
                raise Unauthenticated("unknown")
            yield tx
            await tx.finish(counts.add)
