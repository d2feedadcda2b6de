"""Runs imports of rows without a file, for the tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dragoman.actions.directory import Directory
from dragoman.actions.transfer import matching, writing
from dragoman.actions.transfer.records import (
    ImportedUser,
    ImportOptions,
    Outcome,
    Record,
    Row,
    Tally,
    Translation,
)
from dragoman.actions.transfer.runs import ImportRun
from dragoman.rules.actor import Actor
from tests.support.people import SYSTEM_ACTOR


def rows_of(*values: dict[str, Any]) -> list[ImportedUser]:
    """Return rows on the lines 1, 2, ….

    Args:
        values: the fields of each row.
    """
    return [ImportedUser(**{"line": line, **each}) for line, each in enumerate(values, 1)]


async def begin(
    directory: Directory, *, actor: Actor = SYSTEM_ACTOR, digest: str = "file", **options: Any
) -> ImportRun:
    """Begin an import, or resume it."""
    return await writing.start(directory, actor, "people.csv", digest, ImportOptions(**options))


async def write(
    directory: Directory, run: ImportRun, rows: Sequence[ImportedUser]
) -> list[Outcome]:
    """Write rows as the next chunk."""
    line = rows[-1].line if rows else run.line
    before = run.tally

    def count(outcomes: list[Outcome]) -> Tally:
        tally = before.copy()
        for user, outcome in zip(rows, outcomes, strict=True):
            record = Record(user.line, user.line, {}, b"", 0)
            tally.count(Row(record, Translation(user)), outcome)
        return tally

    return await writing.write_chunk(
        directory, run, rows, record=run.record + len(rows), line=line, count=count
    )


async def import_rows(
    directory: Directory,
    rows: Sequence[ImportedUser],
    *,
    actor: Actor = SYSTEM_ACTOR,
    digest: str = "file",
    **options: Any,
) -> list[Outcome]:
    """Import rows as one chunk of a file, and end the import."""
    run = await begin(directory, actor=actor, digest=digest, **options)
    outcomes = await write(directory, run, rows)
    await writing.finish(directory, run)
    return outcomes


async def judge(
    directory: Directory,
    rows: Sequence[ImportedUser],
    *,
    actor: Actor = SYSTEM_ACTOR,
    **options: Any,
) -> list[Outcome]:
    """Return what would become of rows."""
    run = await writing.plan(directory, actor, "people.csv", "file", ImportOptions(**options))
    return await matching.judge(directory.read(actor), run, rows)


def shown(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the kinds of outcomes, or the codes of refused ones."""
    codes = (dict.fromkeys(problem.code for problem in each.problems) for each in outcomes)
    return [
        ",".join(each) or outcome.kind.value for each, outcome in zip(codes, outcomes, strict=True)
    ]
