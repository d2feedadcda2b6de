"""Tables: CSV, TSV and their relatives, read line by line with Python's C reader."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn

from dragoman.actions.transfer.readers.encodings import (
    MAX_RECORD_CHARACTERS,
    TextFile,
    without_line_end,
)
from dragoman.actions.transfer.records import FileOptions, FileProblem, Record, RowProblem

DELIMITERS = (",", ";", "\t", "|")
MAX_COLUMNS = 1000
MAX_OPEN_QUOTES = 1000
"""Quotes that are never closed, after which the file is given up: each costs a second look at the
lines after it."""
NULL_WORDS = frozenset({"NULL", "\\N"})
"""Words that mean "no value" where they are not between quotes."""

csv.field_size_limit(MAX_RECORD_CHARACTERS)


class CsvTable:
    """The records of a table; a value is a string, or None for a NULL that is not quoted.

    Lines before the header that begin with ``#`` are passed over, a line ``sep=;`` is obeyed, and
    the delimiter is the one that occurs most often in the header. Lines without a value are no
    records.

    Args:
        file: the file.
        options: its format, delimiter and columns.

    Raises FileProblem for a header that cannot be read.
    """

    list_path = ""

    def __init__(self, file: TextFile, options: FileOptions) -> None:
        self.file = file
        self.format = options.format or "csv"
        self.size = file.size
        self.encoding = file.encoding
        self.delimiter = "\t" if options.format == "tsv" else ""
        self.delimiter = options.delimiter or self.delimiter
        if len(self.delimiter) > 1 or (self.delimiter and self.delimiter in '"\r\n#'):
            _refuse(0, "--delimiter: one character, other than a quote or a line break")
        self._preamble = ""
        """What is before the first record: comments and the header."""
        self._skip = 0
        """Physical lines before the first record."""
        self.header = self._read_header(options.columns)
        if not options.delimiter and not options.format and self.delimiter == "\t":
            self.format = "tsv"
        self.form = file.form(self._preamble, "\n", "\n")

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raises FileProblem."""
        return iter(_Reading(self))

    def _read_header(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        lines = list(io.StringIO(self.file.head, newline=""))
        complete = lines if self.file.head_is_all else lines[:-1]
        for line in complete:
            text = without_line_end(line)
            if not self.delimiter and text[:4].lower() == "sep=" and len(text) == 5:
                self.delimiter = text[4]
            elif text.strip() and not (text.startswith("#") and not columns):
                return self._parse_header(line, columns)
            self._preamble += line
            self._skip += 1
        if complete != lines:
            at = f"line {len(lines)}, column {len(lines[-1])}"
            message = f"{at}: the header is longer than 64 KiB"
            raise FileProblem(RowProblem(len(lines), "", "too_long", message))
        return _refuse(0, "the file has no header and no records")

    def _parse_header(self, line: str, columns: tuple[str, ...]) -> tuple[str, ...]:
        number = self._skip + 1
        if not self.delimiter:
            counts = {each: line.count(each) for each in DELIMITERS}
            self.delimiter = max(DELIMITERS, key=lambda each: counts[each])
        if columns:
            names = columns
        else:
            names = self._parse_line(number, line)
            self._preamble += line
            self._skip += 1
        if len(names) > MAX_COLUMNS:
            _refuse(number, f"{len(names)} columns, at most {MAX_COLUMNS}")
        header = tuple(
            name.strip() or f"column {index}" for index, name in enumerate(names, start=1)
        )
        seen: dict[str, int] = {}
        for index, name in enumerate(header, start=1):
            first = seen.setdefault(name, index)
            if first != index:
                _refuse(
                    number,
                    f"column {name[:100]!r} is there twice ({first} and {index}); "
                    "if the first line is no header, --columns names the columns",
                )
        return header

    def _parse_line(self, number: int, line: str) -> tuple[str, ...]:
        try:
            self.file.encode(line)
            return tuple(next(csv.reader([line], delimiter=self.delimiter, strict=True)))
        except UnicodeEncodeError as error:
            raise FileProblem(self.file.bad_character(number, line, error)) from None
        except csv.Error as error:
            _refuse(number, f"the header cannot be read: {error}")

    @property
    def first_line(self) -> int:
        """The physical line on which the first record may begin."""
        return self._skip + 1


class _Reading:
    """One pass over a table."""

    def __init__(self, table: CsvTable) -> None:
        self._table = table
        self._file = table.file
        self._names = table.header
        self._number = 0
        self._line = 0
        """Physical lines of the records that are read."""
        self._open_quotes = 0
        self._batches = table.file.lines()
        self._queue: deque[str] = deque()
        """Lines that are read and not parsed."""
        self._pending: list[str] = []
        """The lines of the record that is being parsed."""

    def __iter__(self) -> Iterator[Record]:
        skip = self._table.first_line - 1
        while skip > len(self._queue):
            self._queue.extend(next(self._batches))
        for _ in range(skip):
            self._queue.popleft()
        self._line = skip
        pending, names, width = self._pending, self._names, len(self._names)
        reader = self._new_reader()
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except (csv.Error, _RecordTooLong) as error:
                reader = self._new_reader()
                yield self._refuse_quote(error)
                continue
            text = pending[0] if len(pending) == 1 else "".join(pending)
            if len(row) != width and row:
                if len(pending) > 1:
                    # A later quote has closed one that was left open, most probably.
                    yield self._refuse_quote(None)
                    continue
                yield self._refuse(text, _count_problem(self._line + 1, len(row), width))
            elif any(row):
                yield self._record(dict(zip(names, row, strict=True)), text)
            self._line += len(pending)
            pending.clear()

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._table.delimiter, strict=True)

    def _feed(self) -> Iterator[str]:
        queue, pending = self._queue, self._pending
        length = 0
        while True:
            while queue:
                line = queue.popleft()
                if pending:
                    length += len(line)
                    if length > MAX_RECORD_CHARACTERS:
                        queue.appendleft(line)
                        raise _RecordTooLong
                else:
                    length = len(line)
                pending.append(line)
                yield line
            lines = next(self._batches, None)
            if lines is None:
                return
            queue.extend(lines)

    def _record(self, values: dict[str, Any], text: str) -> Record:
        try:
            raw = self._file.encode(without_line_end(text))
        except UnicodeEncodeError as error:
            return self._refuse(text, self._file.bad_character(self._line + 1, text, error))
        if "NULL" in text or "\\N" in text:
            _take_null_words(values, text, self._table.delimiter)
        self._number += 1
        return Record(self._number, self._line + 1, values, raw, self._file.position)

    def _refuse(self, text: str, problem: RowProblem) -> Record:
        self._number += 1
        raw = self._file.encode_as_it_is(without_line_end(text))
        return Record(self._number, self._line + 1, {}, raw, self._file.position, problem)

    def _refuse_quote(self, error: Exception | None) -> Record:
        """Refuse the first pending line for its quote, and go on with the line after it."""
        first, *rest = self._pending
        self._queue.extendleft(reversed(rest))
        self._pending.clear()
        number = self._line + 1
        if isinstance(error, csv.Error) and not rest and "unexpected end" not in str(error):
            message = f"line {number}: {error}"
        else:
            column = _open_quote(first, self._table.delimiter)
            message = f"line {number}, column {column}: the quote is never closed"
            self._open_quotes += 1
        if self._open_quotes > MAX_OPEN_QUOTES:
            _refuse(number, f"more than {MAX_OPEN_QUOTES} quotes are never closed")
        record = self._refuse(first, RowProblem(number, "", "syntax", message))
        self._line += 1
        return record


class _RecordTooLong(Exception):
    """A record with line breaks is longer than ``MAX_RECORD_CHARACTERS``."""


def _count_problem(line: int, found: int, expected: int) -> RowProblem:
    columns = "column" if found == 1 else "columns"
    return RowProblem(line, "", "columns", f"line {line}: {found} {columns}, {expected} expected")


def _open_quote(line: str, delimiter: str) -> int:
    """Return the column, from 1, of the quote that a line leaves open."""
    position, length = 0, len(line)
    while position < length:
        if line[position] == '"':
            end = position + 1
            while (end := line.find('"', end)) >= 0 and line[end + 1 : end + 2] == '"':
                end += 2
            if end < 0:
                return position + 1
            position = end
        following = line.find(delimiter, position)
        if following < 0:
            break
        position = following + 1
    return line.find('"') + 1


def _take_null_words(values: dict[str, Any], text: str, delimiter: str) -> None:
    r"""Replace NULL and \N by None where they are not between quotes."""
    quoted = '"NULL"' in text or '"\\N"' in text
    marked: list[str] = []
    if quoted:
        # A character that no field begins with marks what was quoted; then the line is read again.
        plain = text.replace('"NULL"', '"\0NULL"').replace('"\\N"', '"\0\\N"')
        lines = io.StringIO(plain, newline="")
        marked = next(iter(csv.reader(lines, delimiter=delimiter)), [])
    for index, (name, value) in enumerate(values.items()):
        if value in NULL_WORDS and not (quoted and marked[index] != value):
            values[name] = None


def _refuse(line: int, message: str) -> NoReturn:
    at = f"line {line}: " if line else ""
    raise FileProblem(RowProblem(line, "", "columns", at + message))
