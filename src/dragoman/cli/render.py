"""Data for people and for programs: a table, JSON, or JSON lines; all of it on standard output."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import rich_click as click

from dragoman.cli.errors import plain

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENDLESS = 100_000
"""The width of a table that no terminal shows: nothing of it is folded or cut."""


def moment(at: int) -> str | None:
    """Return a time in microseconds since 1970 as ISO 8601, in UTC; None for never."""
    if not at:
        return None
    return (EPOCH + timedelta(microseconds=at)).replace(tzinfo=None).isoformat() + "Z"


def one(record: msgspec.Struct, form: str) -> None:
    """Show one thing: a line a field, or an object."""
    if form == "table":
        rows = [(name, getattr(record, name)) for name in record.__struct_fields__]
        _Table(("", ""), header=False).show(rows)
    elif form == "json":
        _write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    else:
        _write(msgspec.json.encode(record) + b"\n")


def line(text: str) -> None:
    """Show a text as it is, but for what a terminal would obey."""
    sys.stdout.write("\n".join(plain(part) for part in text.split("\n")) + "\n")


def state(word: str, text: str) -> None:
    """Show a line that begins with ``ok``, ``warn`` or ``fail``, in colour on a terminal."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[word]
    click.echo(f"{click.style(f'{word:<4}', fg=colour)}  {plain(text)}")


class Listing:
    """A list that is shown as its pages arrive; ``end`` closes it.

    Args:
        form: ``table``, ``json`` (one list) or ``ndjson`` (an object a line).
        columns: the fields that a table shows.
    """

    def __init__(self, form: str, columns: tuple[str, ...]) -> None:
        self._form = form
        self._columns = columns
        self._table = _Table(columns)
        self._begun = False

    def add(self, records: Sequence[msgspec.Struct]) -> None:
        """Show some more."""
        if self._form == "table":
            self._begun, names = True, self._columns
            self._table.show([tuple(getattr(record, name) for name in names) for record in records])
            return
        for record in records:
            if self._form == "json":
                _write(b",\n  " if self._begun else b"[\n  ")
            self._begun = True
            _write(msgspec.json.encode(record) + (b"\n" if self._form == "ndjson" else b""))

    def end(self) -> None:
        """Close the list; an empty one is shown as such."""
        if self._form == "table" and not self._begun:
            self._table.show([])
        if self._form == "json":
            _write(b"\n]\n" if self._begun else b"[]\n")
        sys.stdout.flush()


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)


class _Table:
    """A table in parts; what the parts before were wide, the next ones are too."""

    def __init__(self, columns: tuple[str, ...], *, header: bool = True) -> None:
        self._columns = columns
        self._header = header
        self._widths = [0] * len(columns)

    def show(self, rows: Sequence[tuple[Any, ...]]) -> None:
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        folds = sys.stdout.isatty()
        cells = [[_shown(value) for value in row] for row in rows]
        table = Table(box=None, show_header=self._header, pad_edge=False, padding=(0, 2, 0, 0))
        for at, name in enumerate(self._columns):
            longest = max((cell_len(row[at]) for row in cells), default=0)
            self._widths[at] = max(self._widths[at], longest, cell_len(name))
            table.add_column(name, min_width=None if folds else self._widths[at])
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        self._header = False
        if folds:
            Console(file=sys.stdout).print(table)
            return
        drawn = io.StringIO()
        Console(file=drawn, width=ENDLESS).print(table)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def _shown(value: Any) -> str:
    """Return a cell: nothing that a terminal would obey, no matter who has written it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value))
