"""``dragoman imports …``: list and show imports, and undo one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import undo as undoing
from dragoman.actions.transfer.records import Tally
from dragoman.actions.transfer.undo import UndoResult
from dragoman.cli import render
from dragoman.cli.errors import NOT_FOUND, PARTIAL, CliError, echo
from dragoman.cli.session import command_line_actor, run
from dragoman.rules.errors import NotFound
from dragoman.store.imports import ImportRecord

T = TypeVar("T")

COLUMNS = ("id", "state", "source", "read", "created", "updated", "refused", "created_at")
MAX_SHOWN_PEOPLE = 20
UNDO_REASONS = {
    "signed_in": "has signed in since; --force removes or restores it",
    "changed": "was changed since; --force removes or restores it",
    "last": "the last active owner or superadmin",
    "forbidden": "not allowed",
    "expired": "the former values are no longer kept",
    "taken": "a former name is in use",
}


class ImportOut(msgspec.Struct, frozen=True):
    """An import as shown in output."""

    id: str
    state: str
    source: str
    read: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    refused_by: Mapping[str, int]
    without_password: int
    hashes: Mapping[str, int]
    options: Any
    created_at: str | None
    finished_at: str | None
    undone_at: str | None


def _import_out(record: ImportRecord) -> ImportOut:
    tally = msgspec.json.decode(record.counts or "{}", type=Tally)
    return ImportOut(
        id=record.public_id,
        state=record.state,
        source=record.source,
        read=tally.read,
        created=tally.created,
        updated=tally.updated,
        unchanged=tally.unchanged,
        skipped=tally.skipped,
        refused=tally.refused,
        refused_by=tally.refused_by,
        without_password=tally.without_password,
        hashes=tally.hashes,
        options=msgspec.json.decode(record.options or "{}"),
        created_at=render.timestamp(record.created_at),
        finished_at=render.timestamp(record.finished_at),
        undone_at=render.timestamp(record.undone_at),
    )


def list_imports(output_format: str, *, limit: int) -> None:
    """List the newest imports.

    Args:
        output_format: one of ``options.OUTPUT_FORMATS``.
        limit: the maximum number.
    """

    async def work(directory: Directory) -> list[ImportRecord]:
        return await undoing.list_imports(directory, command_line_actor(), limit=limit)

    writer = render.ListWriter(output_format, COLUMNS, ImportOut)
    writer.add([_import_out(record) for record in run(work)])
    writer.close()


def show(import_id: str, output_format: str) -> None:
    """Show an import; raises CliError if there is none with this id."""

    async def work(directory: Directory) -> ImportRecord:
        return await undoing.get_import(directory, command_line_actor(), import_id)

    record = _run_known(work, import_id)
    render.show_record(_import_out(record), output_format)


def undo(import_id: str, output_format: str, *, force: bool) -> None:
    """Undo an import and show what was done.

    Args:
        import_id: the public id.
        output_format: one of ``options.OUTPUT_FORMATS``.
        force: also people who have signed in or were changed since.

    Raises:
        CliError: there is no such import, or people are left.
    """

    async def work(directory: Directory) -> UndoResult:
        return await undoing.undo(directory, command_line_actor(), import_id, force=force)

    result = _run_known(work, import_id)
    _show_undo(result, output_format)
    if result.left:
        raise CliError(PARTIAL, f"{result.left:,} people are left")


def _run_known(work: Callable[[Directory], Awaitable[T]], import_id: str) -> T:
    try:
        return run(work)
    except NotFound:
        raise CliError(NOT_FOUND, f"import {import_id!r} not found") from None


def _show_undo(result: UndoResult, output_format: str) -> None:
    """Show what an undo did; the people that are left are named on standard error."""
    if output_format != "table":
        render.show_record(result, output_format)
    else:
        render.show_text(f"{_users(result.removed)} removed, {result.restored:,} restored")
    shown = result.left_people[:MAX_SHOWN_PEOPLE]
    echo(f"left: {each.username} ({UNDO_REASONS.get(each.reason, each.reason)})" for each in shown)
    if result.left > len(shown):
        echo([f"… and {result.left - len(shown):,} more"])


def _users(count: int) -> str:
    return f"{count:,} user{'' if count == 1 else 's'}"
