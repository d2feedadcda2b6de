"""Reads the lines of an exported directory one by one, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from dragoman.actions.transfer.directory_format import (
    FORMAT,
    MAX_LINE,
    DirectoryLine,
    HeaderLine,
    Line,
    decode,
    is_ours,
)
from dragoman.actions.transfer.records import FileProblem, RowProblem

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NumberedLine(msgspec.Struct, frozen=True):
    """A line of the file.

    Attributes:
        number: the physical line, from 1.
        position: the bytes of the file that are read, this line included.
        value: what the line says; None if it cannot be read.
        problem: why it cannot be read.
    """

    number: int
    position: int
    value: Line | None = None
    problem: RowProblem | None = None


def begins_as_ours(path: Path) -> bool:
    """Return whether the file begins with the first line of an export; raises OSError."""
    with path.open("rb") as file:
        return is_ours(file.readline(MAX_LINE).removeprefix(_BYTE_ORDER_MARK))


def read_lines(path: Path) -> Iterator[NumberedLine]:
    """Yield the lines after the first one; empty lines are passed over.

    Raises:
        FileProblem: the file is no export of this format or of an earlier one.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        first = file.readline(MAX_LINE)
        _check_header(first.removeprefix(_BYTE_ORDER_MARK))
        number, position = 1, len(first)
        while text := file.readline(MAX_LINE + 1):
            number += 1
            position += len(text)
            if len(text) > MAX_LINE:
                problem = RowProblem(number, "", "syntax", f"longer than {MAX_LINE:,} bytes")
                raise FileProblem(problem)
            if not text.isspace():
                yield _decoded(number, position, text)


def _check_header(first: bytes) -> None:
    if not is_ours(first):
        raise FileProblem(RowProblem(1, "", "syntax", "not the first line of an export"))
    number = msgspec.json.decode(first).get("format")
    if not isinstance(number, int) or number < 1:
        raise FileProblem(RowProblem(1, "format", "invalid", "the number of the format is missing"))
    if number > FORMAT:
        raise FileProblem(
            RowProblem(
                1,
                "format",
                "invalid",
                f"the file has format {number}, and this program reads formats up to {FORMAT}: "
                "upgrade dragoman",
            )
        )


def _decoded(number: int, position: int, text: bytes) -> NumberedLine:
    try:
        value = decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return NumberedLine(number, position, problem=_problem(number, text, error))
    if isinstance(value, HeaderLine) or (isinstance(value, DirectoryLine) and number > 2):
        problem = RowProblem(number, "type", "invalid", "belongs at the beginning of the file")
        return NumberedLine(number, position, problem=problem)
    return NumberedLine(number, position, value)


def _problem(number: int, text: bytes, error: Exception) -> RowProblem:
    """Return why a line cannot be read; the messages of msgspec quote no values but types."""
    if isinstance(error, msgspec.ValidationError):
        message, _, path = str(error).partition(" - at `$")
        field = path.strip("`.").partition("[")[0].partition(".")[0]
        code = "columns" if "field" in message else "invalid"
        return RowProblem(number, field, code, f"{field}: {message}" if field else message)
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return RowProblem(number, "", "encoding", f"not UTF-8 (byte {bad.start + 1})")
    return RowProblem(number, "", "syntax", str(error))
