"""The application's shared state: database driver, settings, hashing pool and server key."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from dragoman.actions import metrics as action_metrics
from dragoman.actions.password_hashing import PasswordHasherPool
from dragoman.actions.steps import erasure_ledger
from dragoman.actions.system import system_actor
from dragoman.metrics import Metrics
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Unauthenticated, Unavailable
from dragoman.rules.model import User
from dragoman.settings import Settings, with_public_url
from dragoman.store import tenants, users
from dragoman.store.transaction import AdvisoryLock, Driver, Read, Snapshot, Tx
from dragoman.store.user_lists import counters
from dragoman.store.user_lists.page_cache import PageCache


class Directory:
    """The application's shared state, created once per process by ``app.py``.

    Args:
        driver: the database driver; the caller opens and closes it.
        settings: the settings, with the server's secret key.
        workers: the number of worker processes that share this machine's cores.
        mail_links: the path of the page that a mail's link opens, by the kind of the mail (see
            ``dialects.mail_links``).
        metrics: the metrics, which have those of ``action_metrics.definitions``; by default those
            of this process alone.

    Attributes:
        queues: the queues in front of what is scarce, by their names.
        page_cache: positions and counts of the user lists that were requested last.
        last_used: credentials used since the last flush: token id → (last used, idle until),
            both in microseconds. A background job writes them to the database.
    """

    def __init__(
        self,
        driver: Driver,
        settings: Settings,
        *,
        workers: int = 1,
        mail_links: Mapping[str, str] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.driver = driver
        self.settings = with_public_url(settings)
        self.mail_links = mail_links or {}
        threads = settings.hash_threads or max(1, (os.cpu_count() or 1) // workers)
        self.password_hasher = PasswordHasherPool(threads)
        self.queues = {action_metrics.HASHING: self.password_hasher.load_shedder, **driver.queues}
        self.metrics = metrics or Metrics(action_metrics.definitions(self.queues))
        action_metrics.watch_queues(self.metrics, self.queues)
        self.last_used: dict[int, tuple[int, int]] = {}
        self.page_cache = PageCache()
        self._home_tenant_id = 0
        self._log_holds_erased = False

    @property
    def server_key(self) -> bytes:
        """The server's secret key; secrets in mails and paging positions are derived from it."""
        return self.settings.secret_key

    async def home_tenant_id(self) -> int:
        """Return the id of the default tenant, or 0; its slug never changes."""
        if not self._home_tenant_id:
            read = self.read(system_actor("home"))
            tenant = await tenants.find_by_slug(read, self.settings.tenant)
            self._home_tenant_id = tenant.id if tenant else 0
        return self._home_tenant_id

    def read(self, actor: Actor, prefetched_user: User | None = None) -> Read:
        """Return a reader that acts for ``actor``; ``prefetched_user`` was fetched already."""
        return Read(self.driver, actor, prefetched_user)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        """Open a snapshot: reads that all see the same state, and block no writer.

        The caller decides beforehand what the actor may read. Raises Unavailable.
        """
        async with self.driver.snapshot() as session:
            yield Snapshot(session)

    @asynccontextmanager
    async def begin(
        self, actor: Actor, *, lock: AdvisoryLock | None = None, bulk: bool = False
    ) -> AsyncGenerator[Tx]:
        """Open a transaction for one change.

        It commits when the block ends and rolls back when an exception leaves the block.

        Args:
            actor: who makes the change. Its sessions are checked again inside the transaction,
                because password hashing may have delayed the request.
            lock: an advisory lock to acquire at the start of the transaction.
            bulk: the transaction may last for minutes; it cannot have a lock.

        Raises:
            Unauthenticated: the actor's sessions were revoked meanwhile.
            Unavailable: the database cannot serve, or somebody was erased and the ledger of
                erasures cannot be written.
        """
        opened = (
            self.driver.bulk_session()
            if bulk
            else self.driver.session(long_running=actor.kind == "system", lock=lock)
        )
        async with opened as session:
            tx = Tx(session, actor, self.settings)
            if actor.kind == "user" and not await users.is_still_valid(tx, actor):
                raise Unauthenticated("unknown")
            yield tx
            counters.write_deltas(tx)
            await tx.flush()
            if tx.erased:  # at the very end: what fails before it must not be in the ledger
                await asyncio.to_thread(
                    erasure_ledger.append, self.settings.erasures_path, tx.erased, tx.now
                )
        if tx.erased:
            self._log_holds_erased = True
            with contextlib.suppress(Unavailable):  # a background job tries again
                await self.truncate_log()

    async def truncate_log(self) -> int:
        """Remove what was erased from the database's log; return 1 if that was needed and done."""
        if not self._log_holds_erased or not await self.driver.truncate_log():
            return 0
        self._log_holds_erased = False
        return 1
