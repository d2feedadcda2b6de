"""NDJSON: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.actions.transfer.readers.encodings import TextFile, without_line_end
from dragoman.actions.transfer.readers.json_records import decode_object
from dragoman.actions.transfer.records import Record, RowProblem
from dragoman.rules.strict_json import NotStrictJson


class JsonLines:
    """The records of an NDJSON file; empty lines are none.

    Args:
        file: the file.
    """

    format = "ndjson"
    header: tuple[str, ...] = ()
    delimiter = ""
    list_path = ""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.size = file.size
        self.encoding = file.encoding
        self.form = file.form("", "\n", "\n")

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raises FileProblem."""
        file = self.file
        is_utf8 = file.encoding == "utf-8"
        number = line = 0
        for lines in file.lines():
            for text in map(without_line_end, lines):
                line += 1
                if not text or text.isspace():
                    continue
                number += 1
                try:
                    raw = file.encode(text)
                    values = decode_object(raw if is_utf8 else text.encode())
                    yield Record(number, line, values, raw, file.position)
                except UnicodeEncodeError as error:
                    problem = file.bad_character(line, text, error)
                    raw = file.encode_as_it_is(text)
                    yield Record(number, line, {}, raw, file.position, problem)
                except NotStrictJson as error:
                    message = f"line {line}: {str(error).replace('line 1 column', 'column')}"
                    problem = RowProblem(line, "", "syntax", message)
                    raw = file.encode_as_it_is(text)
                    yield Record(number, line, {}, raw, file.position, problem)
