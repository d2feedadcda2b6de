"""Backups: one state of all tables, written to a file while the server runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dragoman import __version__
from dragoman.actions.directory import Directory
from dragoman.actions.transfer.snapshot_file import (
    FORMAT,
    BackupError,
    Header,
    Manifest,
    SnapshotWriter,
    write_snapshot,
)
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Reason, Unavailable
from dragoman.rules.model import SECOND
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, server_state
from dragoman.store import snapshot as tables
from dragoman.store.transaction import Snapshot, now

REPORT_ROWS = 100_000
"""After how many rows of a table progress is reported."""


async def back_up(
    directory: Directory, actor: Actor, path: Path, report: Callable[[str], None]
) -> Manifest:
    """Write a backup of the whole directory; it holds every write that was acknowledged before.

    The file is readable by its owner only, is written beside its name, synced and read back, and
    gets its name only then. The database notes its time, if it can be written. It holds no credentials, no links and no failed sign-ins.

    Args:
        directory: the application's shared state.
        actor: the caller, which must be the system.
        path: the file to write; it must not exist.
        report: called with a line of text when there is progress to report.

    Raises:
        Forbidden: the actor is not the system.
        BackupError: the file exists already, or the database is damaged.
        OSError: the file cannot be written.
        Unavailable: the database cannot serve.
    """
    if actor.kind != "system":
        raise Forbidden(Reason.FUNCTION)
    async with directory.snapshot() as snapshot:
        taken_at = now()
        created_at = datetime.fromtimestamp(taken_at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        header = Header(FORMAT, await tables.revision(snapshot), __version__, created_at)
        with write_snapshot(path, header) as writer:
            problem = await tables.integrity(snapshot)
            if problem != "ok":
                raise BackupError(f"the database is damaged, nothing was backed up: {problem}")
            for table in tables.TABLES:
                await _write_table(snapshot, writer, table, report)
            manifest = writer.finish(await tables.last_ids(snapshot))
    try:
        await _note(directory, actor, taken_at)
    except Unavailable:  # a standby, or a full disk: the file is complete nevertheless
        report("the backup is complete, but the database cannot note it: 'doctor' will miss it")
    return manifest


async def _note(directory: Directory, actor: Actor, taken_at: int) -> None:
    """Record that there is a backup of that time."""
    async with directory.begin(actor) as tx:
        await server_state.save(tx, server_state.LAST_BACKUP, str(taken_at))
        audit.write(tx, AuditAction.BACK_UP, target_kind="directory")


async def _write_table(
    snapshot: Snapshot,
    writer: SnapshotWriter,
    table: tables.sa.Table,
    report: Callable[[str], None],
) -> None:
    columns = [(str(column.name), tables.column_type(column)) for column in table.columns]
    written = 0
    with writer.table(str(table.name), columns) as part:
        async for page in tables.pages(snapshot, table):
            part.write(page)
            written += len(page)
            if written % REPORT_ROWS == 0:
                report(f"{table.name}: {written:,} rows")
    expected = await tables.count(snapshot, table)
    if written != expected:
        raise BackupError(
            f"the database is damaged: {table.name} has {expected} rows, {written} could be read"
        )
