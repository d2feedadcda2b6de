"""``dragoman backup`` and ``dragoman restore``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.steps.erasure_ledger import UnreadableLedger
from dragoman.actions.transfer import backup as backup_action
from dragoman.actions.transfer.restore import Restore, RestoreSummary
from dragoman.actions.transfer.snapshot_file import BackupError, Manifest, SnapshotReader
from dragoman.cli.errors import ERROR, CliError, echo
from dragoman.cli.render import counted
from dragoman.cli.session import command_line_actor, database_version, run, with_ephemeral_key
from dragoman.settings import Settings


def _report(line: str) -> None:
    echo([line])


def backup(path: Path) -> None:
    """Write a backup; raises CliError if that fails."""

    async def work(directory: Directory) -> None:
        try:
            manifest = await backup_action.back_up(directory, command_line_actor(), path, _report)
        except BackupError as error:
            raise CliError(ERROR, str(error)) from error
        echo(_describe_backup(path, manifest))

    run(work)


def _describe_backup(path: Path, manifest: Manifest) -> list[str]:
    rows = {table.name: table.rows for table in manifest.tables}
    counts = f"{counted(rows['users'], 'user')}, {counted(sum(rows.values()), 'row')}"
    size = f"{path.stat().st_size:,} bytes, schema {manifest.header.schema}"
    return [
        f"Wrote {path}: {counts}, {size}",
        "Restoring it needs the same server key (DRAGOMAN_SECRET_KEY or dragoman.key)",
    ]


def restore(path: Path, ledgers: Sequence[Path], *, no_erasures: bool) -> None:
    """Restore a backup and say what was done.

    Args:
        path: the backup.
        ledgers: ledgers of erasures to replay; empty for that of the settings.
        no_erasures: replay none.

    Raises:
        CliError: the backup, a ledger or the database cannot be used.
    """
    settings = app.load_settings()
    if not no_erasures and not ledgers:
        ledgers = (settings.erasures_path,)
        if not settings.erasures_path.exists():
            raise CliError(
                ERROR,
                f"ledger of erasures {settings.erasures_path} not found: name it with --erasures, "
                "or give --no-erasures if nobody was erased since the backup",
            )
    try:
        summary = asyncio.run(_restore(settings, path, ledgers))
    except (BackupError, UnreadableLedger) as error:
        raise CliError(ERROR, str(error)) from error
    echo(_describe_restore(path, summary))


async def _restore(settings: Settings, path: Path, ledgers: Sequence[Path]) -> RestoreSummary:
    await database_version(settings)  # refuses what is no database, or is newer
    with SnapshotReader(path) as reader:
        work = Restore(reader, command_line_actor(), ledgers, _report)
        return await work.run(with_ephemeral_key(settings), app.open_directory)


def _describe_restore(path: Path, summary: RestoreSummary) -> list[str]:
    lines = [
        f"Restored {path}: {counted(sum(summary.rows.values()), 'row')}",
        "Everybody has to sign in again, and links in mails and invitations are no longer valid",
        f"{counted(summary.held_mails, 'waiting mail')} held back, not sent (see 'dragoman outbox')",
        f"{counted(summary.erased, 'person')} erased again",
    ]
    if summary.key_matches is False:
        lines.append(
            "The server key is not the one of this backup: put that DRAGOMAN_SECRET_KEY or "
            "dragoman.key back before the server starts"
        )
    elif summary.key_matches:
        lines.append("The server key is the one of this backup")
    if summary.lacks_superadmin:
        lines.append(
            "There is no active superadmin: create one with 'dragoman users create --role superadmin'"
        )
    return lines
