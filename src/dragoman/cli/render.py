"""Data for people and for programs: a table, JSON, or JSON lines; all of it on standard output."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import rich_click as click

from dragoman.cli.errors import escape_unprintable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNLIMITED_WIDTH = 100_000
"""The width of a table that no terminal shows: nothing of it is folded or cut."""


def timestamp(microseconds: int) -> str | None:
    """Return a time in microseconds since 1970 as ISO 8601, in UTC; None for never."""
    if not microseconds:
        return None
    return (EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat() + "Z"


def show_record(record: msgspec.Struct, output_format: str) -> None:
    """Show one thing: a line a field, or an object."""
    if output_format == "table":
        rows = [(name, getattr(record, name)) for name in record.__struct_fields__]
        _Table(("", ""), header=False).show(rows)
    elif output_format == "json":
        _write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    else:
        _write(msgspec.json.encode(record) + b"\n")


def show_text(text: str) -> None:
    """Show a text as it is, but for what a terminal would obey."""
    sys.stdout.write("\n".join(escape_unprintable(part) for part in text.split("\n")) + "\n")


def show_check(state: str, text: str) -> None:
    """Show a line that begins with ``ok``, ``warn`` or ``fail``, in colour on a terminal."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[state]
    click.echo(f"{click.style(f'{state:<4}', fg=colour)}  {escape_unprintable(text)}")


class ListWriter:
    """A list that is shown as its pages arrive; ``end`` closes it.

    Args:
        form: ``table``, ``json`` (one list) or ``ndjson`` (an object a line).
        columns: the fields that a table shows.
    """

    def __init__(self, output_format: str, columns: tuple[str, ...]) -> None:
        self._output_format = output_format
        self._columns = columns
        self._table = _Table(columns)
        self._started = False

    def add(self, records: Sequence[msgspec.Struct]) -> None:
        """Show some more."""
        if self._output_format == "table":
            self._started, names = True, self._columns
            self._table.show([tuple(getattr(record, name) for name in names) for record in records])
            return
        for record in records:
            if self._output_format == "json":
                _write(b",\n  " if self._started else b"[\n  ")
            self._started = True
            _write(
                msgspec.json.encode(record) + (b"\n" if self._output_format == "ndjson" else b"")
            )

    def close(self) -> None:
        """Close the list; an empty one is shown as such."""
        if self._output_format == "table" and not self._started:
            self._table.show([])
        if self._output_format == "json":
            _write(b"\n]\n" if self._started else b"[]\n")
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

        is_terminal = sys.stdout.isatty()
        cells = [[_cell_text(value) for value in row] for row in rows]
        table = Table(box=None, show_header=self._header, pad_edge=False, padding=(0, 2, 0, 0))
        for index, name in enumerate(self._columns):
            longest = max((cell_len(row[index]) for row in cells), default=0)
            self._widths[index] = max(self._widths[index], longest, cell_len(name))
            table.add_column(name, min_width=None if is_terminal else self._widths[index])
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        self._header = False
        if is_terminal:
            Console(file=sys.stdout).print(table)
            return
        buffer = io.StringIO()
        Console(file=buffer, width=UNLIMITED_WIDTH).print(table)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def _cell_text(value: Any) -> str:
    """Return a cell: nothing that a terminal would obey, no matter who has written it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape_unprintable(str(value))
