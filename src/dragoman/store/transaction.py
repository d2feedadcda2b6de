"""The directory's memory: reads, and transactions that know who acts and when."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dragoman.rules.actor import Actor
from dragoman.rules.model import User

if TYPE_CHECKING:
    from dragoman.store.query import PointRead, Query
    from dragoman.store.user_lists.page_cache import Bookmarks

T = TypeVar("T")
Lock = tuple[int, int]
"""A ``LOCK_…``, and over which key."""


def now() -> int:
    """The time of day in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Session(Protocol):
    """One open transaction of a driver."""

    async def all(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Run a statement and return all its rows."""
        ...

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    async def together(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        """Run statements of which none needs to see what another one writes."""
        ...

    async def lock(self, name: int, key: int) -> None:
        """Wait for, and hold until the end, a lock that has no row of its own."""
        ...

    shard: int
    """Which of a counter's rows this session adds to."""


class Driver(Protocol):
    """A database: SQLite or PostgreSQL."""

    bookmarks: Bookmarks
    """Where its lists' pages begin."""

    async def open(self) -> None:
        """Connect; raises Unavailable."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...

    def session(self, *, long: bool = False, holding: Lock | None = None) -> Any:
        """An async context manager: a transaction, committed unless an exception leaves it.

        ``long`` ones have statements that may take their time (chores, the command line);
        ``holding`` is a lock that is theirs from the beginning.
        """
        ...

    async def scan(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Read outside a transaction what may take its time."""
        ...

    async def quick(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Read a handful of rows that an index gives."""
        ...

    def point(self, read: PointRead[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        """Read one thing by its key; reads of the same moment may travel together."""
        ...

    async def alive(self) -> str:
        """Return the migration that the database stands at; raises Unavailable."""
        ...


class Read:
    """Reads on somebody's behalf; ``ahead`` holds what was fetched with the credential."""

    __slots__ = ("actor", "ahead", "driver", "now")

    def __init__(self, driver: Driver, actor: Actor, ahead: User | None = None) -> None:
        self.driver = driver
        self.actor = actor
        self.ahead = ahead
        self.now = now()

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row."""
        return await self.driver.scan(query, params)

    async def quick(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row, where they are a handful that an index gives."""
        return await self.driver.quick(query, params)

    async def one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None, where an index gives it."""
        rows = await self.driver.quick(query, params)
        return rows[0] if rows else None

    async def total(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None, of what many rows have to be read for."""
        rows = await self.driver.scan(query, params)
        return rows[0] if rows else None


class Tx:
    """One change: a transaction with an actor and one moment, written before it is answered."""

    __slots__ = ("_counts", "_later", "_session", "actor", "cuts", "now")

    def __init__(self, session: Session, actor: Actor) -> None:
        self._session = session
        self.actor = actor
        self.now = now()
        self.cuts = 0
        """How often the change has ended its own actor's sessions."""
        self._counts: dict[tuple[int, int, bool], int] = {}
        self._later: list[tuple[Query[Any], Mapping[str, Any]]] = []

    @property
    def shard(self) -> int:
        """Which of a counter's rows this transaction adds to."""
        return self._session.shard

    async def all(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row."""
        if self._later:
            await self._catch_up()
        return await self._session.all(query, params)

    async def one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None."""
        rows = await self.all(query, **params)
        return rows[0] if rows else None

    async def run(self, query: Query[Any], **params: Any) -> int:
        """Change rows; return how many."""
        if self._later:
            await self._catch_up()
        return await self._session.run(query, params)

    def later(self, query: Query[Any], **params: Any) -> None:
        """Change rows, together with other such changes: before the next statement, or at the end.

        For rows that none of the others changes or looks at, and whose number nobody asks for.
        """
        self._later.append((query, params))

    async def _catch_up(self) -> None:
        waiting, self._later = self._later, []
        await self._session.together(waiting)

    async def lock(self, name: int, key: int = 0) -> None:
        """Hold the lock ``name`` (see ``LOCK_…``) over ``key`` until the end."""
        await self._session.lock(name, key)

    def count(self, tenant_id: int | None, role: int, active: bool, by: int) -> None:
        """Note that a counter moves; all move together, in order, at the end.

        Who moves in a list is noted even where no number changes: see ``bookmarks``.
        """
        for tenant in (tenant_id or 0, EVERYWHERE):
            key = (tenant, int(role), active)
            self._counts[key] = self._counts.get(key, 0) + by

    async def finish(self, add: Callable[[Tx, dict[tuple[int, int, bool], int]], None]) -> None:
        """Write the counters that moved, and whatever else may come last."""
        if self._counts:
            add(self, dict(sorted(self._counts.items())))
        if self._later:
            await self._catch_up()


LOCK_OWNERS = 1  # over a tenant: who are its active owners
LOCK_SUPERADMINS = 2  # who are the platform's active superadmins
LOCK_GUESSES = 4  # over an account: its failures are counted one after the other
LOCK_TENANTS = 3  # which names and slugs are taken
LOCK_INVITATIONS = 5  # over an e-mail address: is an invitation waiting for it?
LOCK_KEYS = 6  # which key signs
EVERYWHERE = -1
"""The counters' tenant for users of all tenants and of none together."""
