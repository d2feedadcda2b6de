"""Reads and transactions: the two handles through which the store is used."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from dragoman.load_shedding import LoadShedder
from dragoman.rules.actor import Actor
from dragoman.rules.model import User
from dragoman.settings import Settings
from dragoman.store.query import BulkInsert, LookupQuery, Query

T = TypeVar("T")
AdvisoryLock = tuple[int, int]
"""A lock that belongs to no row: one of the ``LOCK_…`` constants, and a key."""


def now() -> int:
    """Return the current time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Session(Protocol):
    """An open transaction of a driver."""

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Run a statement and return its rows."""
        ...

    async def run(self, query: Query[Any], params: Mapping[str, Any]) -> int:
        """Run a statement and return the number of rows that it changed."""
        ...

    async def run_batch(self, statements: list[tuple[Query[Any], Mapping[str, Any]]]) -> None:
        """Run statements, none of which may depend on the result of another."""
        ...

    async def insert_many(self, insert: BulkInsert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows; raises Taken if a unique value of one of them exists already."""
        ...

    async def lock(self, lock_id: int, key: int) -> None:
        """Acquire an advisory lock; it is released at the end of the transaction."""
        ...

    shard: int
    """The shard of the user counters that this session writes to."""


class SnapshotSession(Protocol):
    """An open read-only transaction of a driver: every statement sees the same state."""

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Run a reading statement and return its rows."""
        ...


class Driver(Protocol):
    """A database driver: SQLite or PostgreSQL.

    Attributes:
        has_one_writer: whether a transaction that writes keeps all others from writing.
    """

    has_one_writer: bool

    @property
    def queues(self) -> Mapping[str, LoadShedder]:
        """The queues in front of its connections, by their names."""
        ...

    async def open(self) -> None:
        """Connect; raises Unavailable."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...

    def session(self, *, long_running: bool = False, lock: AdvisoryLock | None = None) -> Any:
        """Return an async context manager for a transaction (``Session``).

        It commits when the block ends and rolls back when an exception leaves the block.

        Args:
            long_running: its statements may take long, and it may wait long for locks (jobs and
                the command line).
            lock: an advisory lock to acquire at the start.
        """
        ...

    def bulk_session(self) -> Any:
        """Return an async context manager for a transaction that may last for minutes.

        It is like ``session``, but takes no connection from others, and nothing limits its time.
        """
        ...

    async def others_have_written(self) -> bool:
        """Return whether other processes have committed since this was last called.

        Asked where there is one writer; elsewhere False, as writers do not wait for each other.
        """
        ...

    def relaxed_commits(self) -> Any:
        """Return an async context manager in which commits do not wait for the disk.

        A power failure may undo the last of them, never one without all later ones. On SQLite this
        concerns every transaction of this process, on PostgreSQL those that are long-running.
        """
        ...

    def snapshot(self) -> Any:
        """Return an async context manager for a snapshot (``SnapshotSession``).

        It may stay open for long: it blocks no writer, and takes no connection from others.
        Raises Unavailable.
        """
        ...

    async def fetch(self, query: Query[T], params: Mapping[str, Any]) -> list[T]:
        """Run a reading statement outside a transaction and return its rows."""
        ...

    def look_up(self, lookup: LookupQuery[T], key: tuple[Any, ...]) -> Awaitable[T | None]:
        """Read the row with this key; concurrent lookups may share one statement."""
        ...

    async def truncate_log(self) -> bool:
        """Remove old contents of pages from the files, where the database keeps them.

        Returns whether that is done; it is not while something else reads or writes for long.
        """
        ...

    async def current_revision(self) -> str:
        """Return the newest migration that was applied; raises Unavailable."""
        ...


class Read:
    """Reads on behalf of an actor, each in its own snapshot.

    Args:
        driver: the database driver.
        actor: who reads.
        prefetched_user: a user that was fetched together with the actor's credential.
    """

    __slots__ = ("actor", "driver", "now", "prefetched_user")

    def __init__(self, driver: Driver, actor: Actor, prefetched_user: User | None = None) -> None:
        self.driver = driver
        self.actor = actor
        self.prefetched_user = prefetched_user
        self.now = now()

    async def fetch(self, query: Query[T], **params: Any) -> list[T]:
        """Return all rows."""
        return await self.driver.fetch(query, params)

    async def fetch_one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None."""
        rows = await self.driver.fetch(query, params)
        return rows[0] if rows else None


class Snapshot:
    """Reads of one state of the directory, however long they take; for exports and backups."""

    __slots__ = ("_session",)

    def __init__(self, session: SnapshotSession) -> None:
        self._session = session

    async def fetch(self, query: Query[T], **params: Any) -> list[T]:
        """Return all rows."""
        return await self._session.fetch(query, params)

    async def fetch_one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None."""
        rows = await self._session.fetch(query, params)
        return rows[0] if rows else None


class Tx:
    """One change: a transaction with an actor, the settings and a single point in time.

    Attributes:
        settings: the settings of the application.
        now: the time of the change, in microseconds since 1970 UTC.
        own_revocations: how often the change has revoked the sessions of its own actor.
        counter_deltas: how much each user counter has moved: (tenant id, role, active,
            approved) → delta. ``counters.write_deltas`` writes them at the end.
        erased: the public ids of the people that the change erases; they are written to the
            ledger of erasures before it commits.
    """

    __slots__ = (
        "_deferred", "_session", "actor", "counter_deltas", "erased", "now",
        "own_revocations", "settings",
    )  # fmt: skip

    def __init__(self, session: Session, actor: Actor, settings: Settings) -> None:
        self._session = session
        self.actor = actor
        self.settings = settings
        self.now = now()
        self.own_revocations = 0
        self.counter_deltas: dict[tuple[int, int, bool, bool], int] = {}
        self.erased: list[str] = []
        self._deferred: list[tuple[Query[Any], Mapping[str, Any]]] = []

    @property
    def shard(self) -> int:
        """The shard of the user counters that this transaction writes to."""
        return self._session.shard

    async def fetch(self, query: Query[T], **params: Any) -> list[T]:
        """Return all rows."""
        await self.flush()
        return await self._session.fetch(query, params)

    async def fetch_one(self, query: Query[T], **params: Any) -> T | None:
        """Return the first row, or None."""
        rows = await self.fetch(query, **params)
        return rows[0] if rows else None

    async def run(self, query: Query[Any], **params: Any) -> int:
        """Run a statement and return the number of rows that it changed."""
        await self.flush()
        return await self._session.run(query, params)

    async def insert_many(self, insert: BulkInsert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows; the transaction has failed if this raises Taken.

        Args:
            insert: the table and its columns.
            rows: the values of each row, in the order of the columns.

        Raises:
            Taken: a unique value of one of the rows exists already.
        """
        await self.flush()
        if rows:
            await self._session.insert_many(insert, rows)

    def defer(self, query: Query[Any], **params: Any) -> None:
        """Run a statement later, in one batch with other deferred ones.

        The batch runs before the next statement that is not deferred, or at the end. Deferred
        statements must not depend on each other, and their row counts are lost.
        """
        self._deferred.append((query, params))

    async def flush(self) -> None:
        """Run the deferred statements now."""
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            await self._session.run_batch(deferred)

    async def lock(self, lock_id: int, key: int = 0) -> None:
        """Acquire the advisory lock ``lock_id`` (a ``LOCK_…`` constant) over ``key``."""
        await self._session.lock(lock_id, key)

    def count_users(
        self, tenant_id: int | None, role: int, active: bool, delta: int, *, approved: bool
    ) -> None:
        """Move the counter of users of one tenant, role, state and approval, and that of all tenants.

        A delta of 0 is written as well: it moves the version of the lists that the user is in
        (see ``PageCache``).

        Args:
            tenant_id: the users' tenant, or None.
            role: the users' role.
            active: whether the users are active.
            delta: how many users are added; negative for removed ones.
            approved: whether the users are approved.
        """
        for counter_tenant_id in (tenant_id or 0, ALL_TENANTS):
            key = (counter_tenant_id, int(role), active, approved)
            self.counter_deltas[key] = self.counter_deltas.get(key, 0) + delta


LOCK_OWNERS = 1  # key: a tenant's id; protects its last active owner
LOCK_SUPERADMINS = 2  # protects the platform's last active superadmin
LOCK_TENANT_NAMES = 3  # protects the uniqueness of tenants' names and slugs
LOCK_SIGN_IN_ATTEMPTS = 4  # key: an account; its failures are counted one at a time
LOCK_INVITATIONS = 5  # key: an e-mail address; protects its only pending invitation
LOCK_SIGNING_KEYS = 6  # protects the only current signing key
LOCK_DAILY_AUDIT = 7  # key: contract and target; its row of the day is replaced by one at a time
ALL_TENANTS = -1
"""The tenant id of the counters over all users, with and without a tenant."""
