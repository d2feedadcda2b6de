"""Run an import: check the whole file first, then write it in chunks; go on after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import matching, passwords_to_hash, writing
from dragoman.actions.transfer.records import (
    FileProblem,
    ImportedUser,
    ImportOptions,
    Outcome,
    OutcomeKind,
    Record,
    RecordSource,
    Row,
    RowProblem,
    Tally,
    Translation,
    Translator,
)
from dragoman.actions.transfer.runs import ImportRun
from dragoman.actions.transfer.seen import SeenRows
from dragoman.rules.actor import Actor

CHECKED_AT_ONCE = 1000
"""Maximum number of records that are checked in one step."""


class Reporter:
    """Is told what happens during an import; this one keeps it to itself."""

    def begin(self, phase: str, size: int) -> None:
        """Begin a pass over a file of so many bytes: ``check`` or ``write``."""

    def resume(self, record: int, line: int) -> None:
        """Go on after this record; what was reported of later ones has not been written."""

    def advance(self, position: int, tally: Tally) -> None:
        """So many bytes of the file are done."""

    def refuse(self, record: Record, problems: Sequence[RowProblem]) -> None:
        """Refuse a record; told before the other rows of its chunk are written."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an import is run.

    Attributes:
        source_name: the name of the file, for people.
        digest: SHA-256 of the file and of all options: the same import again goes on.
        dry_run: check only, and change nothing.
        keep_going: take the good rows although there are bad ones.
        stop_after: the number of records after which the file counts as ended; 0: all.
    """

    source_name: str
    digest: str
    dry_run: bool = False
    keep_going: bool = False
    stop_after: int = 0


class WholeDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """What else is in an exported directory that is taken as a whole (``whole_directory``)."""

    tenants: int
    groups: int


class Summary(msgspec.Struct):
    """What an import did, or would do.

    Attributes:
        import_id: the public id of the import; empty if nothing was written.
        tally: what became of the records.
        seconds: how long it took.
        dry_run: nothing was changed, because that was asked for.
        resumed_after: the number of records that an earlier, killed run had done.
        stopped: a row was refused that the check had passed: the rest is not imported.
        whole: the rest of an exported directory; None for a file of users.
    """

    import_id: str
    tally: Tally
    seconds: float = 0.0
    dry_run: bool = False
    resumed_after: int = 0
    stopped: bool = False
    whole: WholeDirectory | None = None


async def run(
    directory: Directory,
    actor: Actor,
    source: RecordSource,
    translate: Translator,
    options: ImportOptions,
    run_options: RunOptions,
    reporter: Reporter,
) -> Summary:
    """Import a file.

    Without ``keep_going`` the whole file is checked before the first row is written, and nothing
    is written if a row is refused. An import that was killed goes on after its last chunk.

    Args:
        directory: the application's shared state.
        actor: the caller.
        source: the file; it is read once for each pass.
        translate: understands its records.
        options: what becomes of rows.
        run_options: how the import is run.
        reporter: is told about the progress and the refused rows.

    Raises:
        Forbidden, NoTenant: the actor may not import users.
        FileProblem: the file as a whole cannot be imported.
        Unavailable: the database cannot serve.
    """
    started = time.monotonic()
    file = _File(source, translate, run_options.stop_after)
    planned = await writing.plan(
        directory, actor, run_options.source_name, run_options.digest, options
    )
    checks = run_options.dry_run or not (planned.id or run_options.keep_going)
    summary = Summary("", Tally(), dry_run=run_options.dry_run)
    if checks:
        summary.tally = await _check(directory, planned, file, reporter)
    if not (run_options.dry_run or summary.tally.refused):
        summary = await _write(directory, actor, file, options, run_options, reporter)
    summary.seconds = time.monotonic() - started
    return summary


class _File(msgspec.Struct):
    """A file, and who understands it."""

    source: RecordSource
    translate: Translator
    stop_after: int

    def rows(self, *, after: int = 0) -> Iterator[Row]:
        """Yield the records with their meaning; those that cannot be read are refused.

        Records that are not about a person are left out.

        Args:
            after: the number of the record after which to begin.
        """
        for record in islice(self.source, self.stop_after or None):
            if record.number <= after:
                continue
            if record.problem is not None:
                yield Row(record, Translation(problems=[record.problem]))
            elif not (translation := self.translate(record)).is_empty:
                yield Row(record, translation)


async def _check(
    directory: Directory, planned: ImportRun, file: _File, reporter: Reporter
) -> Tally:
    """Judge each row of the file; change nothing."""
    reporter.begin("check", file.source.size)
    tally = Tally()
    rows = file.rows()
    with SeenRows() as seen:

        def build() -> _Chunk:
            chunk = _Chunk(islice(rows, CHECKED_AT_ONCE))
            chunk.decide(seen.add(chunk.users()))
            return chunk

        async with contextlib.aclosing(_build_ahead(build)) as chunks:
            async for chunk in chunks:
                reader = directory.read(planned.actor)
                chunk.decide(await matching.judge(reader, planned, chunk.users()))
                chunk.count(tally)
                chunk.report_refused(reporter)
                reporter.advance(chunk.last.position, tally)
    _require_records(tally)
    return tally


async def _write(
    directory: Directory,
    actor: Actor,
    file: _File,
    options: ImportOptions,
    run_options: RunOptions,
    reporter: Reporter,
) -> Summary:
    """Write the file in chunks, each in a transaction that also moves the import on."""
    reporter.begin("write", file.source.size)
    current = await writing.start(
        directory, actor, run_options.source_name, run_options.digest, options
    )
    summary = Summary(current.public_id, current.tally, resumed_after=current.record)
    if current.record:
        reporter.resume(current.record, current.line)
    rows = file.rows(after=current.record)

    def build() -> _Chunk:
        chunk = _Chunk(islice(rows, current.chunk_rows))
        for user in chunk.users():
            writing.prepare(current, user)
        return chunk

    async with (
        directory.driver.relaxed_commits(),  # what a power failure undoes is imported again
        contextlib.aclosing(_build_ahead(build)) as chunks,
    ):
        async for chunk in chunks:
            try:
                await _write_chunk(directory, current, chunk, run_options, reporter)
            except writing.Stopped as stopped:
                chunk.decide(stopped.outcomes)
                summary.stopped = True
                summary.tally = current.tally.copy()
                chunk.count(summary.tally, only_refused=True)
                chunk.report_refused(reporter)
                return summary
            reporter.advance(chunk.last.position, current.tally)
    _require_records(current.tally)
    await writing.finish(directory, current)
    summary.tally = current.tally
    return summary


async def _build_ahead(build: Callable[[], _Chunk]) -> AsyncGenerator[_Chunk]:
    """Yield chunks until one is empty; the next is read in a thread while the database works."""
    upcoming = asyncio.create_task(asyncio.to_thread(build))
    try:
        while chunk := await upcoming:
            upcoming = asyncio.create_task(asyncio.to_thread(build))
            yield chunk
    finally:  # the thread reads the file, which the caller closes
        await asyncio.wait({upcoming})
        upcoming.exception()  # of a chunk that nobody asks for any more


async def _write_chunk(
    directory: Directory,
    current: ImportRun,
    chunk: _Chunk,
    run_options: RunOptions,
    reporter: Reporter,
) -> None:
    if chunk.has_refused() and not run_options.keep_going:
        raise writing.Stopped([None] * len(chunk.users()))
    before, reported = current.tally, False

    def count(outcomes: list[Outcome]) -> Tally:
        nonlocal reported
        if reported:  # the transaction failed: what was reported then is reported again
            reporter.resume(current.record, current.line)
        reported = True
        tally = before.copy()
        decided = chunk.with_decided(outcomes)
        decided.count(tally)
        decided.report_refused(reporter)
        return tally

    users = await passwords_to_hash.hashed(directory, chunk.users(), current.options)
    await writing.write_chunk(
        directory,
        current,
        users,
        record=chunk.last.number,
        line=chunk.last.line,
        count=count,
        stop_on_refusal=not run_options.keep_going,
    )


class _Chunk:
    """Rows that are checked, or written, together, and what has become of them so far."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)
        self._outcomes = [_translated_outcome(row.translation) for row in self._rows]

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def last(self) -> Record:
        """The last record."""
        return self._rows[-1].record

    def users(self) -> list[ImportedUser]:
        """Return the people of the rows that are not decided yet."""
        return [
            row.translation.user
            for row, outcome in zip(self._rows, self._outcomes, strict=True)
            if outcome is None and row.translation.user is not None
        ]

    def decide(self, outcomes: Sequence[Outcome | None]) -> None:
        """Take the outcomes of the rows that are not decided yet, in their order."""
        remaining = iter(outcomes)
        self._outcomes = [
            next(remaining) if outcome is None else outcome for outcome in self._outcomes
        ]

    def with_decided(self, outcomes: Sequence[Outcome | None]) -> _Chunk:
        """Return another chunk of the same rows, with these outcomes taken."""
        other = _Chunk(())
        other._rows, other._outcomes = self._rows, self._outcomes
        other.decide(outcomes)
        return other

    def has_refused(self) -> bool:
        """Return whether a row is refused."""
        return any(outcome and outcome.kind is OutcomeKind.REFUSED for outcome in self._outcomes)

    def count(self, tally: Tally, *, only_refused: bool = False) -> None:
        """Count what became of the rows."""
        for row, outcome in zip(self._rows, self._outcomes, strict=True):
            if outcome and (not only_refused or outcome.kind is OutcomeKind.REFUSED):
                tally.count(row, outcome)

    def report_refused(self, reporter: Reporter) -> None:
        """Tell which records are refused, and why."""
        for row, outcome in zip(self._rows, self._outcomes, strict=True):
            if outcome and outcome.kind is OutcomeKind.REFUSED:
                reporter.refuse(row.record, outcome.problems)


def _translated_outcome(translation: Translation) -> Outcome | None:
    if translation.problems:
        return Outcome(OutcomeKind.REFUSED, problems=tuple(translation.problems))
    return Outcome(OutcomeKind.SKIPPED) if translation.user is None else None


def _require_records(tally: Tally) -> None:
    """Raise FileProblem if there was not a single record."""
    if not tally.read:
        raise FileProblem(RowProblem(1, "", "blank", "there is no record in the file"))
