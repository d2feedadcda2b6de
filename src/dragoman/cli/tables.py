"""Tables for people: aligned in a pipe, and never wider than a terminal."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from dragoman.cli.errors import escape_unprintable
from dragoman.cli.terminal import is_plain

UNLIMITED_WIDTH = 100_000
"""Width of a table that is not written to a terminal (columns): no cell is wrapped or cut."""
GAP = 2
"""Columns between two cells."""
MIN_TEXT_WIDTH = 12
"""Width to which a column of text may shrink (columns); its cells go on in the next line then."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")


class Table:
    """A table written in parts, whose columns keep the widths of the earlier parts.

    On a terminal, texts go on in the next line where the width does not suffice; numbers and times
    are never broken. Where even that does not suffice, each record becomes a block of lines.

    Args:
        columns: the headings; without any, the first of two columns has the names of fields.
    """

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns or ("", "")
        self._has_names = not columns
        self._header = bool(columns)
        self._widths = [0] * len(self._columns)
        self._min_widths = [0] * len(self._columns)
        self._as_blocks = False

    def show(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows; a value that is None or empty is a dash."""
        from rich.console import Console

        cells = [[_cell_text(value) for value in row] for row in rows]
        self._measure(rows, cells)
        if not sys.stdout.isatty():
            buffer = io.StringIO()
            self._print(Console(file=buffer, width=UNLIMITED_WIDTH), cells, self._widths)
            sys.stdout.writelines(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())
            return
        # With a height, too: rich takes every dumb terminal for one of 80 columns otherwise.
        width, height = shutil.get_terminal_size()
        colours = None if is_plain() else "auto"
        console = Console(file=sys.stdout, width=width, height=height, color_system=colours)
        too_wide = sum(self._min_widths) + GAP * (len(self._columns) - 1) > console.width
        self._as_blocks = self._as_blocks or (too_wide and not self._has_names)
        if self._as_blocks:
            self._print_blocks(console, rows)
        else:
            self._print(console, cells, self._min_widths)

    def _measure(self, rows: Sequence[tuple[Any, ...]], cells: list[list[str]]) -> None:
        """Widen the columns to what these rows need."""
        from rich.cells import cell_len

        for index, name in enumerate(self._columns):
            longest = max((cell_len(row[index]) for row in cells), default=0)
            self._widths[index] = max(self._widths[index], longest, cell_len(name))
            if self._has_names:  # names never break, and values may, at any width
                needed = longest if index == 0 else 0
            else:
                unbroken = max((_unbroken_width(row[index]) for row in rows), default=0)
                needed = min(unbroken, longest)
            self._min_widths[index] = max(self._min_widths[index], needed, cell_len(name))

    def _print(self, console: Any, cells: list[list[str]], min_widths: Sequence[int]) -> None:
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=None, show_header=self._header, pad_edge=False, padding=(0, GAP, 0, 0)
        )
        for name, width, min_width in zip(self._columns, self._widths, min_widths, strict=True):
            may_break = min_width < width
            table.add_column(name, min_width=min_width, no_wrap=not may_break, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        self._header = False
        console.print(table)

    def _print_blocks(self, console: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write each row as lines of a heading and a value, with an empty line between rows."""
        for row in rows:
            if not self._header:
                console.print()
            self._header = False
            Table().show(list(zip(self._columns, row, strict=True)))


def _unbroken_width(value: Any) -> int:
    """Return the width below which a cell must not shrink: all of it, unless it is a text."""
    text = _cell_text(value)
    is_text = isinstance(value, str) and not _TIME.fullmatch(value)
    return MIN_TEXT_WIDTH if is_text else len(text)


def _cell_text(value: Any) -> str:
    """Return the text of a cell, with control characters escaped: users can choose the values.

    Times have no fractions of seconds, which the other formats have.
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text[:19] + "Z" if _TIME.fullmatch(text) else escape_unprintable(text)
