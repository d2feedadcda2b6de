"""The running directory: its database, its hashing threads, its key and its settings."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager

from dragoman.actions.hashing import Hashing
from dragoman.rules.model import Actor, User
from dragoman.rules.policy import NOTHING_NARROWED
from dragoman.settings import Settings
from dragoman.store import tenants
from dragoman.store.database import Database
from dragoman.store.engine import Lock, Read, Tx


class Directory:
    """What every action needs, made once per process by ``app.py``.

    ``touches`` collects which credentials were used, until upkeep writes them down.
    """

    def __init__(self, database: Database, settings: Settings, *, workers: int = 1) -> None:
        self.database = database
        self.settings = settings
        threads = settings.hash_threads or max(1, (os.cpu_count() or 1) // workers)
        self.hashing = Hashing(threads)
        self.touches: dict[int, tuple[int, int]] = {}
        self._home = 0

    @property
    def key(self) -> bytes:
        """The server's key: secrets in mails and positions in links are derived from it."""
        return self.settings.secret_key

    async def home(self) -> int:
        """Return the id of the settings' tenant, which keeps its slug and is never deleted."""
        if not self._home:
            found = await tenants.find_by_slug(
                self.database.read(machine("home")), self.settings.tenant
            )
            self._home = found.id if found else 0
        return self._home

    def read(self, actor: Actor, ahead: User | None = None) -> Read:
        """Read on this actor's behalf."""
        return self.database.read(actor, ahead)

    def begin(
        self, actor: Actor, *, holding: Lock | None = None
    ) -> AbstractAsyncContextManager[Tx]:
        """Open the transaction of one change (see ``store.database.Database.begin``)."""
        return self.database.begin(actor, holding=holding)


def machine(name: str, contract: str = "system") -> Actor:
    """Return the actor that stands for a machine: the command line, the first start, upkeep."""
    return Actor(kind="system", contract=contract, narrowing=NOTHING_NARROWED, name=name)
