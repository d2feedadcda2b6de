"""Output of data to standard output as a table, JSON or JSON lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import rich_click as click

from dragoman.cli.errors import escape_unprintable
from dragoman.cli.times import EPOCH

UNLIMITED_WIDTH = 100_000
"""Width of a table that is not written to a terminal (columns): no cell is wrapped or cut."""


def timestamp(microseconds: int) -> str | None:
    """Return a time (microseconds since 1970) as ISO 8601 in UTC; None for 0, which means never."""
    if not microseconds:
        return None
    return (EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat() + "Z"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1; ``person`` becomes people."""
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def show_record(record: msgspec.Struct, output_format: str) -> None:
    """Write one record: a table with one row per field, or a JSON object."""
    if output_format == "table":
        rows = [(name, getattr(record, name)) for name in record.__struct_fields__]
        _Table(("", ""), header=False).show(rows)
    elif output_format == "json":
        _write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    else:
        _write(msgspec.json.encode(record) + b"\n")


def show_text(text: str) -> None:
    """Write a text, with control characters other than newlines escaped."""
    sys.stdout.write("\n".join(escape_unprintable(part) for part in text.split("\n")) + "\n")


def show_check(state: str, text: str) -> None:
    """Write a line that begins with ``ok``, ``warn`` or ``fail``, coloured on a terminal."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[state]
    click.echo(f"{click.style(f'{state:<4}', fg=colour)}  {escape_unprintable(text)}")


class ListWriter:
    """Writes a list page by page; ``close`` must be called at the end.

    Args:
        output_format: ``table``, ``json`` (one array) or ``ndjson`` (one object per line).
        columns: the fields shown in a table; JSON has all fields.
    """

    def __init__(self, output_format: str, columns: tuple[str, ...]) -> None:
        self._output_format = output_format
        self._columns = columns
        self._table = _Table(columns)
        self._started = False

    def add(self, records: Sequence[msgspec.Struct]) -> None:
        """Write one page of records."""
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
        """End the list; an empty one is written as a table header or an empty array."""
        if self._output_format == "table" and not self._started:
            self._table.show([])
        if self._output_format == "json":
            _write(b"\n]\n" if self._started else b"[]\n")
        sys.stdout.flush()


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)


class _Table:
    """A table written in parts, whose columns keep the widths of the earlier parts."""

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
    """Return the text of a cell, with control characters escaped: users can choose the values."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape_unprintable(str(value))
