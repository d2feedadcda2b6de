"""Restoring a backup into an empty database of either kind, so that nothing lives on by mistake.

Rows are loaded in one transaction: a restore that is interrupted leaves an empty database. Only a
backup of an earlier schema needs a second one after the migrations; until then, a mark in the
database says that it is not finished.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import erasure_ledger, key_check, remove_user
from dragoman.actions.transfer.snapshot_file import BackupError, SnapshotReader, TableManifest
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Reason
from dragoman.rules.vocabulary import AuditAction
from dragoman.settings import Settings
from dragoman.store import audit, erasures, last_admins, migrate, server_state, snapshot_load
from dragoman.store.snapshot import BYTES, NOT_IN_BACKUPS
from dragoman.store.snapshot_load import HELD, ID_JUMP
from dragoman.store.transaction import LOCK_TENANT_NAMES, Tx
from dragoman.store.user_lists import counters

LEDGER_STEP = 500
"""Maximum number of lines of a ledger that are looked up in one statement."""
EPOCHS = {"users": "auth_epoch", "tenants": "auth_epoch", "invitations": "generation"}
"""Columns that move on, by table, so that no credential and no link of before is valid."""
NOT_EMPTY = "the database is not empty: a backup can only be restored into an empty one"

OpenDirectory = Callable[[Settings], AbstractAsyncContextManager[Directory]]
Report = Callable[[str], None]


class RestoreSummary(msgspec.Struct, kw_only=True):
    """What a restore did.

    Attributes:
        rows: the number of rows by table.
        held_mails: mails that were waiting and are not sent.
        erased: people whom it erased again, because a ledger names them.
        key_matches: whether the server key here is the one of the backup; None if it has none.
        lacks_superadmin: there is no active superadmin.
    """

    rows: dict[str, int] = {}
    held_mails: int = 0
    erased: int = 0
    key_matches: bool | None = None
    lacks_superadmin: bool = False


class Restore:
    """One restore of a backup.

    Args:
        reader: the backup.
        actor: the caller, which must be the system.
        ledgers: ledgers of erasures to replay, besides the one in the backup.
        report: called with a line of text when there is progress to report.
    """

    def __init__(
        self, reader: SnapshotReader, actor: Actor, ledgers: Sequence[Path], report: Report
    ) -> None:
        if actor.kind != "system":
            raise Forbidden(Reason.FUNCTION)
        self._reader = reader
        self._actor = actor
        self._ledgers = ledgers
        self._report = report
        self._summary = RestoreSummary()

    async def run(self, settings: Settings, open_directory: OpenDirectory) -> RestoreSummary:
        """Migrate the database, load the backup and finish it.

        Raises:
            BackupError: the database is not empty, or the backup is damaged or too new.
            UnreadableLedger: a ledger is damaged.
            OSError: the backup or a ledger cannot be read.
            Unavailable: the database cannot serve, or the ledger cannot be written.
        """
        schema = self._reader.manifest.header.schema
        if schema > migrate.HEAD_REVISION:
            raise BackupError(
                f"{self._reader.path} is newer than this program (schema {schema}, but this "
                f"program knows {migrate.HEAD_REVISION}): upgrade dragoman"
            )
        self._reader.verify()
        erasure_lines = self._count_ledger_lines()
        self._report(
            f"The backup is complete, and the number of erasures in the ledgers is {erasure_lines}"
        )
        if not await self._is_to_be_finished(settings, open_directory):
            await self._load_tables(settings, schema, open_directory)
        if schema != migrate.HEAD_REVISION:
            # A copy would keep people who are to be erased again.
            await migrate.upgrade(settings.database, report=self._report, keep_copy=False)
            async with self._transaction(settings, open_directory) as (directory, tx):
                await self._finish(tx, directory)
        return self._summary

    async def _load_tables(
        self, settings: Settings, schema: str, open_directory: OpenDirectory
    ) -> None:
        if await migrate.current_revision(settings.database) > schema:
            await migrate.downgrade(settings.database, schema)  # it is empty
        else:
            await migrate.upgrade(settings.database, schema, report=self._report)
        async with self._transaction(settings, open_directory) as (directory, tx):
            await tx.lock(LOCK_TENANT_NAMES)  # a server that starts meanwhile waits
            if not await snapshot_load.is_empty(tx):
                raise BackupError(NOT_EMPTY)
            await self._load(tx)
            if schema == migrate.HEAD_REVISION:
                await self._finish(tx, directory)
            else:
                await server_state.save(tx, server_state.UNFINISHED_RESTORE, self._identity())

    @asynccontextmanager
    async def _transaction(
        self, settings: Settings, open_directory: OpenDirectory
    ) -> AsyncGenerator[tuple[Directory, Tx]]:
        async with (
            open_directory(settings) as directory,
            directory.begin(self._actor, bulk=True) as tx,
        ):
            yield directory, tx

    def _identity(self) -> str:
        """Return what the mark of an unfinished restore holds: which backup it is."""
        header = self._reader.manifest.header
        return f"{header.schema} {header.created_at}"

    async def _is_to_be_finished(self, settings: Settings, open_directory: OpenDirectory) -> bool:
        """Return whether this restore was begun before; raises BackupError if it cannot begin."""
        revision = await migrate.current_revision(settings.database)
        if not revision:
            return False
        if revision not in {migrate.HEAD_REVISION, self._reader.manifest.header.schema}:
            raise BackupError(NOT_EMPTY)
        async with open_directory(settings) as directory:
            read = directory.read(self._actor)
            begun = await server_state.find(read, server_state.UNFINISHED_RESTORE)
            if begun is None and not await snapshot_load.is_empty(read):
                raise BackupError(NOT_EMPTY)
        if begun not in {None, self._identity()}:
            raise BackupError("another backup was not restored completely into this database")
        return begun is not None

    def _count_ledger_lines(self) -> int:
        return sum(1 for path in self._ledgers for _ in erasure_ledger.read(path))

    async def _load(self, tx: Tx) -> None:
        triggers = await snapshot_load.suspend_search(tx)
        for table in self._reader.manifest.tables:
            if table.name in NOT_IN_BACKUPS:
                continue
            names = [name for name, _ in table.columns]
            insert = snapshot_load.bulk_insert(table.name, names)
            for rows in self._reader.rows(table):
                self._prepare(table, names, rows, tx.now)
                await tx.insert_many(insert, [tuple(row) for row in rows])
            self._summary.rows[table.name] = table.rows
            if table.rows:
                self._report(f"{table.name}: {table.rows:,} rows")
        await snapshot_load.resume_search(tx, triggers)

    def _prepare(
        self, table: TableManifest, names: list[str], rows: list[list[Any]], now: int
    ) -> None:
        """Change rows so that no credential, link or mail of before the restore lives on."""
        for n, (_, kind) in enumerate(table.columns):
            if kind == BYTES:
                for row in rows:
                    row[n] = None if row[n] is None else base64.b64decode(row[n])
        if table.name in EPOCHS:
            n = names.index(EPOCHS[table.name])
            for row in rows:
                row[n] += ID_JUMP
        if table.name == "outbox":
            sent_at, failed_at, error = map(names.index, ("sent_at", "failed_at", "last_error"))
            for row in rows:
                if not row[sent_at] and not row[failed_at]:
                    row[failed_at], row[error] = now, HELD
                    self._summary.held_mails += 1

    async def _finish(self, tx: Tx, directory: Directory) -> None:
        """Erase again whom the ledgers name, and say what the operator has to know."""
        await snapshot_load.move_ids(tx, self._reader.manifest.last_ids)
        if await counters.differences(tx):
            await counters.recount(tx)
            self._report("the counters of users differed from the rows, and were counted anew")
        await self._replay_erasures(tx, directory)
        audit.write(tx, AuditAction.RESTORE_BACKUP, target_kind="directory")
        await server_state.remove(tx, server_state.UNFINISHED_RESTORE)
        for key in (server_state.INSTANCE, server_state.LISTENING):  # it is another directory now
            await server_state.remove(tx, key)
        await snapshot_load.analyze(tx)
        self._summary.key_matches = await key_check.matches(tx, directory)
        self._summary.lacks_superadmin = not await last_admins.has_superadmin(tx)

    async def _replay_erasures(self, tx: Tx, directory: Directory) -> None:
        """Erase people of the ledgers, and let ledger and table name all of them from now on."""
        lines = [line for path in self._ledgers for line in erasure_ledger.read(path)]
        for start in range(0, len(lines), LEDGER_STEP):
            step = lines[start : start + LEDGER_STEP]
            for user_id in await erasures.list_unerased(tx, [public_id for public_id, _ in step]):
                found = await erasures.find_any(tx, user_id, for_update=True)
                assert found is not None, "it was loaded in this transaction, or the one before"
                await remove_user.erase_any(tx, found)
                self._summary.erased += 1
            for public_id, at in step:
                await erasures.insert(tx, public_id, at)
        own = erasure_ledger.public_ids(directory.settings.erasures_path)
        tx.erased = [each async for each in erasures.all_public_ids(tx) if each not in own]
