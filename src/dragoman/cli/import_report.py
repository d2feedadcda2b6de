"""What ``dragoman import`` tells people: the file, its progress, refused rows and the summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.transfer import recipes
from dragoman.actions.transfer.records import (
    Record,
    RecordForm,
    RecordSource,
    RowProblem,
    Tally,
)
from dragoman.actions.transfer.rejects import Rejects
from dragoman.actions.transfer.run import Reporter, Summary
from dragoman.actions.transfer.translate import Choice
from dragoman.cli import render
from dragoman.cli.errors import echo
from dragoman.cli.progress import Progress, duration

MAX_SHOWN_PROBLEMS = 20
MAX_SHOWN_WARNINGS = 10
MAX_REASONS = 10
LABELS = {"check": "Checking", "write": "Importing"}
FORMAT_NAMES = {"csv": "CSV", "tsv": "TSV", "ndjson": "NDJSON", "json": "JSON", "ldif": "LDIF"}


def description(name: str, source: RecordSource, choice: Choice) -> Iterator[str]:
    """Yield what a person reads before an import begins: the format and who is which field.

    Args:
        name: the name of the file.
        source: the file.
        choice: who understands its records.
    """
    parts = [FORMAT_NAMES[source.format], source.encoding.upper()]
    if source.delimiter:
        parts.append(
            {"\t": "separated by tabs"}.get(source.delimiter, f"delimiter {source.delimiter!r}")
        )
    if source.list_path:
        parts.append(f"list {source.list_path!r}")
    yield f"{name}: {', '.join(parts)}"
    yield from choice.notes
    recipe = recipes.find(choice.recipe, source.format) if choice.recipe else None
    if recipe is not None:
        pairs = [(ours, path) for ours, path in recipe.fields.items() if isinstance(path, str)]
    else:
        pairs = [(ours, theirs) for theirs, ours in choice.fields.items()]
    if pairs:
        yield "Fields: " + ", ".join(
            ours if ours == theirs else f"{ours} ← {theirs}" for ours, theirs in pairs
        )


def warnings(tally: Tally) -> Iterator[str]:
    """Yield the most frequent warnings, with the numbers of rows."""
    found = _most_frequent(tally.warnings)
    for text, count in found[:MAX_SHOWN_WARNINGS]:
        yield f"warning: {text} ({count:,} row{'' if count == 1 else 's'})"
    if len(found) > MAX_SHOWN_WARNINGS:
        yield f"warning: {len(found) - MAX_SHOWN_WARNINGS} more kinds of warnings"


class ImportReporter(Reporter):
    """Shows the progress, keeps the first problems and writes the refused records.

    Args:
        progress: where the progress is shown.
        rejects: where refused records go; None: nowhere.
    """

    def __init__(self, progress: Progress, rejects: Rejects | None) -> None:
        self._progress = progress
        self._rejects = rejects
        self._is_journal_open = False
        self._problems: list[RowProblem] = []
        self._refused = 0

    def begin(self, phase: str, size: int) -> None:
        """Begin a pass over a file of so many bytes."""
        self._progress.begin(LABELS[phase], size)
        self._forget(0)

    def resume(self, record: int, line: int) -> None:
        """Drop what was reported of records after this one."""
        self._forget(record)

    def advance(self, position: int, tally: Tally) -> None:
        """Show how far the file is read."""
        self._progress.advance(position, tally.read)

    def refuse(self, record: Record, problems: Sequence[RowProblem]) -> None:
        """Keep a refused record, and its problems if they are among the first."""
        self._refused += 1
        if len(self._problems) < MAX_SHOWN_PROBLEMS:
            self._problems.extend(problems)
        if self._rejects is not None:
            self._open_journal(0)
            self._rejects.add(record, problems)

    def end(self) -> None:
        """End the progress and show the first problems, also after an error."""
        self._progress.end()
        hint = "" if self._rejects else " (--rejects FILE writes all of them)"
        echo(problem_lines(self._problems, self._refused, hint))
        if self._rejects is not None:
            self._rejects.close()

    def finish(self, form: RecordForm) -> None:
        """Write the files of refused records and name them.

        Args:
            form: what is around the records in a file of the form of the input.
        """
        if self._rejects is not None and self._is_journal_open and self._rejects.finish(form):
            echo([f"Refused rows: {self._rejects.path}, reasons: {self._rejects.reasons_path}"])

    def _forget(self, record: int) -> None:
        self._problems.clear()
        self._refused = 0
        self._is_journal_open = False
        if self._rejects is not None and record:
            self._open_journal(record)

    def _open_journal(self, record: int) -> None:
        if self._rejects is not None and not self._is_journal_open:
            self._is_journal_open = True
            if not self._rejects.begin(after_record=record) and record:
                echo([f"{self._rejects.path}: bad rows up to record {record:,} are not in it"])


def problem_lines(problems: Sequence[RowProblem], refused: int, hint: str = "") -> Iterator[str]:
    """Yield the first problems with their lines, and how many more rows are refused."""
    lines: set[int] = set()
    for problem in problems[:MAX_SHOWN_PROBLEMS]:
        at = "" if problem.message.startswith("line ") else f"line {problem.line}: "
        lines.add(problem.line)
        yield f"{at}{problem.message}"
    if refused > len(lines):
        yield f"… and {refused - len(lines):,} more refused rows{hint}"


class SummaryOut(msgspec.Struct, frozen=True, rename={"import_id": "import"}):
    """The summary of an import in JSON (interface.md)."""

    import_id: str | None
    read: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    refused_by: dict[str, int]
    without_password: int
    hashes: dict[str, int]
    seconds: float
    dry_run: bool | UnsetType = UNSET


def show(summary: Summary, output_format: str) -> None:
    """Show what an import did, or would do.

    ``output_format`` is one of ``options.OUTPUT_FORMATS``.
    """
    tally = summary.tally
    if output_format != "table":
        out = SummaryOut(
            import_id=summary.import_id or None,
            read=tally.read,
            created=tally.created,
            updated=tally.updated,
            unchanged=tally.unchanged,
            skipped=tally.skipped,
            refused=tally.refused,
            refused_by=dict(_most_frequent(tally.refused_by)),
            without_password=tally.without_password,
            hashes=dict(_most_frequent(tally.hashes)),
            seconds=round(summary.seconds, 3),
            dry_run=True if summary.dry_run else UNSET,
        )
        render.show_record(out, output_format)
        return
    render.show_text("\n".join(_summary_lines(summary)))


def _summary_lines(summary: Summary) -> Iterator[str]:
    tally = summary.tally
    whole = summary.whole
    if summary.dry_run:
        yield "Dry run: nothing was changed"
    elif summary.import_id:
        yield f"Import {summary.import_id}"
    elif whole is None or tally.refused:
        yield "Nothing was imported"
    else:
        yield f"Directory with {render.counted(whole.tenants, 'tenant')}, {render.counted(whole.groups, 'group')} and users:"
    if summary.resumed_after:
        yield f"  resumed after record {summary.resumed_after:,}"
    refused = _counts(_most_frequent(tally.refused_by)[:MAX_REASONS])
    hashes = _counts(_most_frequent(tally.hashes))
    rate = (tally.read - summary.resumed_after) / max(summary.seconds, 1e-6)
    rows = [
        ("read", f"{tally.read:,}"),
        ("created", f"{tally.created:,}"),
        ("updated", f"{tally.updated:,}"),
        ("unchanged", f"{tally.unchanged:,}"),
        ("skipped", f"{tally.skipped:,}"),
        ("refused", f"{tally.refused:,}{f' ({refused})' if refused else ''}"),
        ("without password", f"{tally.without_password:,}"),
        ("hashes", hashes or "none"),
        ("time", f"{duration(summary.seconds)}, {rate:,.0f} rows/s"),
    ]
    for label, value in rows:
        yield f"  {label:<16}  {value}"


def _most_frequent(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _counts(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in items)
