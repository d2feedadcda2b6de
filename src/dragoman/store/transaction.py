"""The directory's memory: reads, and transactions that know who acts and when."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dragoman.rules.actor import Actor
from dragoman.rules.model import User

if TYPE_CHECKING:
    from dragoman.store.query import LookupQuery, Query
    from dragoman.store.user_lists.page_cache import PageCache

T = TypeVar("T")
AdvisoryLock = tuple[int, int]
"""A ``LOCK_…``, and over which key."""


def now() -> int:
    """The time of day in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Session(Protocol):
    """One open transaction of a driver."""

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Run a statement and return all its rows."""
        ...

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    async def run_batch(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        """Run statements of which none needs to see what another one writes."""
        ...

    async def lock(self, lock_id: int, key: int) -> None:
        """Wait for, and hold until the end, a lock that has no row of its own."""
        ...

    shard: int
    """Which of a counter's rows this session adds to."""


class Driver(Protocol):
    """A database: SQLite or PostgreSQL."""

    page_cache: PageCache
    """Where its lists' pages begin."""

    async def open(self) -> None:
        """Connect; raises Unavailable."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...

    def session(self, *, long_running: bool = False, lock: AdvisoryLock | None = None) -> Any:
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

    def look_up(self, lookup: LookupQuery[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        """Read one thing by its key; reads of the same moment may travel together."""
        ...

    async def current_revision(self) -> str:
        """Return the migration that the database stands at; raises Unavailable."""
        ...


class Read:
    """Reads on somebody's behalf; ``ahead`` holds what was fetched with the credential."""

    __slots__ = ("actor", "driver", "now", "prefetched_user")

    def __init__(self, driver: Driver, actor: Actor, prefetched_user: User | None = None) -> None:
        self.driver = driver
        self.actor = actor
        self.prefetched_user = prefetched_user
        self.now = now()

    async def fetch(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row."""
        return await self.driver.scan(query, params)

    async def quick(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row, where they are a handful that an index gives."""
        return await self.driver.quick(query, params)

    async def fetch_one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None, where an index gives it."""
        rows = await self.driver.quick(query, params)
        return rows[0] if rows else None

    async def total(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None, of what many rows have to be read for."""
        rows = await self.driver.scan(query, params)
        return rows[0] if rows else None


class Tx:
    """One change: a transaction with an actor and one moment, written before it is answered."""

    __slots__ = ("_counter_deltas", "_deferred", "_session", "actor", "now", "own_revocations")

    def __init__(self, session: Session, actor: Actor) -> None:
        self._session = session
        self.actor = actor
        self.now = now()
        self.own_revocations = 0
        """How often the change has ended its own actor's sessions."""
        self._counter_deltas: dict[tuple[int, int, bool], int] = {}
        self._deferred: list[tuple[Query[Any], Mapping[str, Any]]] = []

    @property
    def shard(self) -> int:
        """Which of a counter's rows this transaction adds to."""
        return self._session.shard

    async def fetch(self, query: Query[T], **params: Any) -> list[T]:
        """Return every row."""
        if self._deferred:
            await self._run_deferred()
        return await self._session.fetch(query, params)

    async def fetch_one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None."""
        rows = await self.fetch(query, **params)
        return rows[0] if rows else None

    async def run(self, query: Query[Any], **params: Any) -> int:
        """Change rows; return how many."""
        if self._deferred:
            await self._run_deferred()
        return await self._session.run(query, params)

    def defer(self, query: Query[Any], **params: Any) -> None:
        """Change rows, together with other such changes: before the next statement, or at the end.

        For rows that none of the others changes or looks at, and whose number nobody asks for.
        """
        self._deferred.append((query, params))

    async def _run_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        await self._session.run_batch(deferred)

    async def lock(self, lock_id: int, key: int = 0) -> None:
        """Hold the lock ``name`` (see ``LOCK_…``) over ``key`` until the end."""
        await self._session.lock(lock_id, key)

    def count_users(self, tenant_id: int | None, role: int, active: bool, delta: int) -> None:
        """Note that a counter moves; all move together, in order, at the end.

        Who moves in a list is noted even where no number changes: see ``bookmarks``.
        """
        for counter_tenant_id in (tenant_id or 0, ALL_TENANTS):
            key = (counter_tenant_id, int(role), active)
            self._counter_deltas[key] = self._counter_deltas.get(key, 0) + delta

    async def flush(
        self, write_deltas: Callable[[Tx, dict[tuple[int, int, bool], int]], None]
    ) -> None:
        """Write the counters that moved, and whatever else may come last."""
        if self._counter_deltas:
            write_deltas(self, dict(sorted(self._counter_deltas.items())))
        if self._deferred:
            await self._run_deferred()


LOCK_OWNERS = 1  # over a tenant: who are its active owners
LOCK_SUPERADMINS = 2  # who are the platform's active superadmins
LOCK_SIGN_IN_ATTEMPTS = 4  # over an account: its failures are counted one after the other
LOCK_TENANT_NAMES = 3  # which names and slugs are taken
LOCK_INVITATIONS = 5  # over an e-mail address: is an invitation waiting for it?
LOCK_SIGNING_KEYS = 6  # which key signs
ALL_TENANTS = -1
"""The counters' tenant for users of all tenants and of none together."""
