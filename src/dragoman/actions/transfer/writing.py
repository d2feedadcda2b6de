"""Writes the rows of an import in chunks, each with the import's progress in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import creating, matching, runs, updating
from dragoman.actions.transfer.identity import row_digest
from dragoman.actions.transfer.matching import Verdict
from dragoman.actions.transfer.records import (
    ImportedUser,
    Outcome,
    OutcomeKind,
    RowProblem,
    Tally,
)
from dragoman.actions.transfer.runs import MAX_CHUNK_ROWS, MIN_CHUNK_ROWS, ImportRun
from dragoman.rules import policy
from dragoman.rules.errors import (
    DirectoryError,
    Forbidden,
    Invalid,
    LastOwner,
    Unauthenticated,
    Unavailable,
)
from dragoman.rules.vocabulary import Action
from dragoman.store import imports
from dragoman.store.imports import ImportRow
from dragoman.store.transaction import Tx

SHARED_LOCK_S, LONE_LOCK_S = 0.1, 0.5
"""How long a chunk should hold SQLite's only write lock while others write, or do not (seconds)."""
SHARED_FOR_S = 10.0
"""How long others count as writing after they were last seen to, in seconds."""
ATTEMPTS, RETRY_S = 6, 0.5
"""How often a chunk is tried while the database cannot serve, and the first pause (seconds)."""

plan, start, finish = runs.plan, runs.start, runs.finish


class Superseded(Exception):
    """Another process goes on with the same import, or has undone it."""


class Stopped(Exception):
    """A row was refused, and the rest of its chunk was not written.

    Args:
        outcomes: what became of the rows of the chunk; None for those that were not written.
    """

    def __init__(self, outcomes: Sequence[Outcome | None]) -> None:
        super().__init__("a row was refused")
        self.outcomes = list(outcomes)


def prepare(run: ImportRun, row: ImportedUser) -> None:
    """Derive what will be written of a row: it is kept with the row, and costs no time then."""
    row_digest(row, run.hash_key)
    creating.texts(row)


async def write_chunk(
    directory: Directory,
    run: ImportRun,
    rows: Sequence[ImportedUser],
    *,
    record: int,
    line: int,
    count: Callable[[list[Outcome]], Tally],
    stop_on_refusal: bool = False,
) -> list[Outcome]:
    """Write rows, and return what became of each; ``run.chunk_rows`` may change for the next.

    They are judged again, in the transaction that writes them and moves the import on. If one of
    them fails there, each gets a transaction of its own, and those that fail are refused.

    Args:
        directory: the application's shared state.
        run: the import, begun.
        rows: rows without problems of their own, in the order of the file; may be empty.
        record: the number of records of the file that are done with this chunk.
        line: the line of the last one.
        count: returns what became of all records up to ``record``, given the outcomes of these
            rows; it may be called again, with other outcomes, if the transaction fails.
        stop_on_refusal: write nothing more if a row is refused.

    Raises:
        Forbidden: the actor may not import users any more.
        Unavailable: the database cannot serve; the chunk may be written again.
        Superseded: another process goes on with this import, or has undone it.
        Stopped: a row is refused, and ``stop_on_refusal`` is set.
    """
    policy.require_reach(run.actor, Action.IMPORT_USERS)
    progress = _Progress(record, line, count, stop_on_refusal)
    for attempt in range(ATTEMPTS):
        try:
            return await _write(directory, run, rows, progress)
        except Unavailable:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(RETRY_S * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


class _Progress(msgspec.Struct, frozen=True):
    record: int
    line: int
    count: Callable[[list[Outcome]], Tally]
    stop_on_refusal: bool


async def _write(
    directory: Directory, run: ImportRun, rows: Sequence[ImportedUser], progress: _Progress
) -> list[Outcome]:
    await _know_tenants(directory, run, rows)
    try:
        async with directory.begin(run.actor) as tx:
            started = time.monotonic()
            outcomes = await _write_rows(
                directory, tx, run, rows, stop_on_refusal=progress.stop_on_refusal
            )
            tally = _move(tx, run, outcomes, progress)
    except (Unavailable, Unauthenticated):
        raise
    except DirectoryError:
        run.tenants.clear()  # one of them may have been deleted
        outcomes = await _write_one_by_one(
            directory, run, rows, stop_on_refusal=progress.stop_on_refusal
        )
        async with directory.begin(run.actor) as tx:
            if not await imports.lock_running(tx, run.id, run.record):
                raise Superseded from None
            tally = _move(tx, run, outcomes, progress)
    else:
        if directory.driver.has_one_writer:
            duration_s = time.monotonic() - started
            if await directory.driver.others_have_written():
                run.shared_until = time.monotonic() + SHARED_FOR_S
            _adapt_chunk_rows(run, len(rows), duration_s)
    run.record, run.line, run.tally = progress.record, progress.line, tally
    return outcomes


async def _know_tenants(directory: Directory, run: ImportRun, rows: Sequence[ImportedUser]) -> None:
    await runs.load_tenants(directory.read(run.actor), run, rows)
    await runs.create_tenants(directory, run, rows)


async def _write_one_by_one(
    directory: Directory, run: ImportRun, rows: Sequence[ImportedUser], *, stop_on_refusal: bool
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for row in rows:
        outcomes.append(await _write_alone(directory, run, row))
        if stop_on_refusal and outcomes[-1].kind is OutcomeKind.REFUSED:
            raise Stopped([*outcomes, *(None for _ in rows[len(outcomes) :])])
    return outcomes


async def _write_alone(directory: Directory, run: ImportRun, row: ImportedUser) -> Outcome:
    """Write one row in a transaction of its own, and return what became of it.

    The progress moves after the last row of the chunk. A run that is killed before finds the rows
    that it has written (``Verdict.done``).
    """
    await _know_tenants(directory, run, [row])
    try:
        async with directory.begin(run.actor) as tx:
            [outcome] = await _write_rows(directory, tx, run, [row])
            return outcome
    except (Unavailable, Unauthenticated):
        raise
    except DirectoryError as error:
        return Outcome(OutcomeKind.REFUSED, problems=(_row_problem(row.line, error),))


def _row_problem(line: int, error: DirectoryError) -> RowProblem:
    """Return why a row could not be written."""
    match error:
        case Invalid(problems=(problem, *_)) if problem.field == "tenant":
            return RowProblem(line, "tenant", "unknown_tenant", "there is no such tenant")
        case Invalid(problems=(problem, *_)):
            code = problem.code if problem.code in {"taken", "blank", "too_long", "unsafe"} else ""
            message = f"the directory does not accept it: {problem.code}"
            return RowProblem(line, problem.field, code or "invalid", message)
        case LastOwner():
            return RowProblem(line, "role", "forbidden_role", "this is the last active one")
        case Forbidden():
            message = "you may not change this person"
            return RowProblem(line, "role", "forbidden_role", message)
        case _:
            return RowProblem(line, "", "taken", "the name or id belongs to another user")


async def _write_rows(
    directory: Directory,
    tx: Tx,
    run: ImportRun,
    rows: Sequence[ImportedUser],
    *,
    stop_on_refusal: bool = False,
) -> list[Outcome]:
    if not await imports.lock_running(tx, run.id, run.record):
        raise Superseded
    verdicts = await matching.find_verdicts(tx, run, rows)
    if stop_on_refusal and any(v.outcome.kind is OutcomeKind.REFUSED for v in verdicts):
        refused = (v.outcome if v.outcome.kind is OutcomeKind.REFUSED else None for v in verdicts)
        raise Stopped(list(refused))
    await updating.update(directory, tx, run, rows, verdicts)
    created = await creating.create(tx, run, rows, verdicts)
    await imports.insert_rows(tx, _import_rows(tx, run, rows, verdicts, created))
    return [
        Outcome(OutcomeKind.CREATED, created[index]) if index in created else verdict.outcome
        for index, verdict in enumerate(verdicts)
    ]


def _import_rows(
    tx: Tx,
    run: ImportRun,
    rows: Sequence[ImportedUser],
    verdicts: Sequence[Verdict],
    created: dict[int, int],
) -> list[ImportRow]:
    """Return what the import remembers of the rows: later ones may name the same person."""
    found: list[ImportRow] = []
    for index, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
        user_id = created.get(index, 0)
        if verdict.done or (not user_id and verdict.existing is None):
            continue
        is_written = bool(user_id) or verdict.outcome.kind is OutcomeKind.UPDATED
        found.append(
            ImportRow(
                run.id,
                user_id or (verdict.existing.user.id if verdict.existing else 0),
                row.line,
                row_digest(row, run.hash_key),
                bool(user_id),
                tx.now if is_written else 0,
                verdict.former,
            )
        )
    return found


def _move(tx: Tx, run: ImportRun, outcomes: list[Outcome], progress: _Progress) -> Tally:
    """Save the progress, and return the tally with the rows counted."""
    tally = progress.count(outcomes)
    imports.move(
        tx,
        run.id,
        record=progress.record,
        line=progress.line,
        counts=msgspec.json.encode(tally).decode(),
        tenants=msgspec.json.encode(run.first_users).decode(),
    )
    return tally


def _adapt_chunk_rows(run: ImportRun, row_count: int, duration_s: float) -> None:
    """Let the next chunk take as long as a transaction may hold SQLite's write lock."""
    if row_count:
        is_shared = time.monotonic() < run.shared_until
        target_s = SHARED_LOCK_S if is_shared else LONE_LOCK_S
        wanted = int(row_count * target_s / max(duration_s, 1e-6))
        run.chunk_rows = max(MIN_CHUNK_ROWS, min(wanted, 2 * run.chunk_rows, MAX_CHUNK_ROWS))
