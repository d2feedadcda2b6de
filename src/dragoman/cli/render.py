"""Output of data to standard output as a table, JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import rich_click as click

from dragoman.actions.transfer import formula_cells
from dragoman.cli.errors import escape_unprintable
from dragoman.cli.tables import Table
from dragoman.cli.terminal import is_plain
from dragoman.cli.times import EPOCH


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
    """Write one record: a table with one row per field, a JSON object, or a CSV header and row."""
    if output_format == "table":
        rows = [(name, getattr(record, name)) for name in record.__struct_fields__]
        Table().show(rows)
    elif output_format == "csv":
        writer = ListWriter("csv", (), type(record))
        writer.add([record])
        writer.close()
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
    mark = f"{state:<4}"
    click.echo(
        f"{mark if is_plain() else click.style(mark, fg=colour)}  {escape_unprintable(text)}"
    )


class ListWriter:
    """Writes a list page by page; ``close`` must be called at the end.

    Args:
        output_format: ``table``, ``json`` (one array), ``ndjson`` (one object per line) or ``csv``.
        columns: the fields shown in a table; the other formats have all fields.
        record_type: the type of the records; its fields are the header of a CSV file.
    """

    def __init__(
        self, output_format: str, columns: tuple[str, ...], record_type: type[msgspec.Struct]
    ) -> None:
        self._output_format = output_format
        self._columns = columns
        self._fields = record_type.__struct_fields__
        self._table = Table(columns)
        self._started = False
        if output_format == "csv":
            _write_csv([record_type.__struct_encode_fields__])

    def add(self, records: Sequence[msgspec.Struct]) -> None:
        """Write one page of records."""
        if self._output_format == "table":
            self._started, names = True, self._columns
            self._table.show([tuple(getattr(record, name) for name in names) for record in records])
            return
        if self._output_format == "csv":
            _write_csv(
                [_csv_cell(getattr(each, name)) for name in self._fields] for each in records
            )
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


def _write_csv(rows: Iterable[Sequence[str]]) -> None:
    """Write rows as ``dragoman export --format csv`` does: RFC 4180, in UTF-8, without formulas."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    _write(buffer.getvalue().encode())


def _csv_cell(value: Any) -> str:
    """Return the text of a cell, with an apostrophe before what a spreadsheet would calculate."""
    if value is None or value is msgspec.UNSET:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    elif not isinstance(value, str | int | float):
        value = msgspec.json.encode(value).decode()
    if not isinstance(value, str):
        return str(value)
    return formula_cells.defuse("\n".join(map(escape_unprintable, value.split("\n"))))
