"""``dragoman import``: import users from a file, or a whole directory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import msgspec

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.actions.transfer import run as engine
from dragoman.actions.transfer import whole_directory
from dragoman.actions.transfer.opening import open_import
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
)
from dragoman.actions.transfer.rejects import Rejects
from dragoman.actions.transfer.run import RunOptions, Summary
from dragoman.cli import import_report, progress
from dragoman.cli.errors import ERROR, PARTIAL, CliError, echo
from dragoman.cli.import_report import ImportReporter
from dragoman.cli.session import command_line_actor, run_migrated, run_without_trace
from dragoman.cli.spool import STDIN, regular_file
from dragoman.store.transaction import now

COLLECTION_THRESHOLD = 200_000
"""New objects after which Python looks for cycles during an import."""


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """How an import is run.

    Attributes:
        dry_run: check only.
        keep_going: import the good rows although there are bad ones.
        rejects: the path of the file of bad rows; empty: beside the file, with ``keep_going``.
        stop_after: the number of records after which the file counts as ended; 0: all.
    """

    dry_run: bool = False
    keep_going: bool = False
    rejects: str = ""
    stop_after: int = 0


def import_users(
    file: str, file_options: FileOptions, options: ImportOptions, mode: Mode, output_format: str
) -> None:
    """Import a file and show what was done; the database is migrated if that is necessary.

    Args:
        file: the path, or ``-`` for standard input.
        file_options: how the file is read.
        options: what becomes of its rows.
        mode: how the import is run.
        output_format: one of ``options.OUTPUT_FORMATS``.

    Raises:
        CliError: the file cannot be imported, nothing was imported, or only a part of it.
        OSError: a file cannot be read, or one of refused rows cannot be written.
    """
    name = "standard input" if file == STDIN else file
    try:
        with regular_file(file, file_options) as path, _rare_collections():
            digest = _digest(path, file_options, options, mode)
            run_options = RunOptions(
                source_name=name,
                digest=digest,
                dry_run=mode.dry_run,
                keep_going=mode.keep_going,
                stop_after=mode.stop_after,
            )
            rejects = _rejects(file, file_options, mode, digest)
            # Whatever is wrong with the file as a whole is told before a database is made for it.
            source, choice = open_import(
                path, file_options, options, aliases=app.import_columns(), now=now()
            )
            is_plain = options == ImportOptions() and not (file_options.recipe or mode.stop_after)

            async def work(directory: Directory) -> Summary:
                actor = command_line_actor()
                reporter = ImportReporter(progress.on_standard_error(), rejects)
                if is_plain and await whole_directory.applies(directory, actor, path):
                    echo([f"{name}: a whole directory, exported by Dragoman"])
                    running = whole_directory.load(directory, actor, path, run_options, reporter)
                else:
                    echo(import_report.description(name, source, choice))
                    running = engine.run(
                        directory, actor, source, choice.translate, options, run_options, reporter
                    )
                summary = await _watched(running, reporter)
                reporter.finish(source.form)
                echo(import_report.warnings(summary.tally))
                return summary

            summary = run_without_trace(work) if mode.dry_run else run_migrated(work)
    except FileProblem as error:
        raise CliError(ERROR, f"{name}: {error}") from None
    import_report.show(summary, output_format)
    _raise_if_partial(summary, mode)


@contextlib.contextmanager
def _rare_collections() -> Generator[None]:
    """Let Python look for cycles rarely: rows are in none, and it would look at each again and again.

    That took a third of the time of an import.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECTION_THRESHOLD, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def _watched(running: Coroutine[Any, Any, Summary], reporter: ImportReporter) -> Summary:
    try:
        return await running
    except (asyncio.CancelledError, KeyboardInterrupt):
        echo(["Interrupted: the same command goes on where it stopped"])
        raise
    finally:
        reporter.end()


def _digest(path: Path, file_options: FileOptions, options: ImportOptions, mode: Mode) -> str:
    """Return what identifies an import: the contents of its files, and its options."""
    digest = hashlib.sha256()
    names = [
        path,
        *(Path(each) for each in (file_options.passwords, file_options.hash_config) if each),
    ]
    for name in names:
        with name.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(msgspec.json.encode((file_options, options, mode.keep_going, mode.stop_after)))
    return digest.hexdigest()


def _rejects(file: str, options: FileOptions, mode: Mode, digest: str) -> Rejects | None:
    if mode.rejects:
        return Rejects(Path(mode.rejects), digest)
    if not mode.keep_going or mode.dry_run:
        return None
    path = Path(file)
    if file == STDIN or not path.is_file():
        return Rejects(Path(f"import.rejects.{options.format or 'txt'}"), digest)
    return Rejects(path.with_name(f"{path.stem}.rejects{path.suffix}"), digest)


def _raise_if_partial(summary: Summary, mode: Mode) -> None:
    tally = summary.tally
    if summary.stopped:
        raise CliError(
            PARTIAL,
            f"stopped: rows are refused that were good before, {tally.created:,} users are created "
            f"and {tally.updated:,} updated (the same command goes on; 'dragoman imports undo "
            f"{summary.import_id}' takes them back)",
        )
    if not tally.refused:
        return
    if mode.keep_going and summary.whole is None:
        raise CliError(PARTIAL, f"{tally.refused:,} of {tally.read:,} rows are refused")
    would = "would be" if mode.dry_run else "was"
    hint = "" if summary.whole else " (--keep-going imports the others)"
    raise CliError(
        ERROR,
        f"nothing {would} imported: {tally.refused:,} of {tally.read:,} rows are refused{hint}",
    )
