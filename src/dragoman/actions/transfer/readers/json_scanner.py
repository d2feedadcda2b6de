"""A JSON text as a stream: values are cut out or passed over with flat memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from dragoman.actions.transfer.readers.encodings import (
    MAX_RECORD_CHARACTERS,
    TextFile,
    count_lines,
    raise_too_long,
)
from dragoman.actions.transfer.records import FileProblem, RowProblem
from dragoman.rules.strict_json import MAX_DEPTH

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING_END = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_PLAIN_VALUE = re.compile(r"[-+.0-9A-Za-z]+")
_UNFINISHED = 32
"""Characters at the end of the buffer that a literal or an escape may be cut in."""


class Scanner:
    """Reads a JSON text from its beginning; positions are in the buffer.

    Args:
        file: the file; its lines are counted.
    """

    def __init__(self, file: TextFile) -> None:
        self._file = file
        self._blocks: Iterator[str] = file.blocks()
        self._buffer = ""
        self._at = 0
        self._line = 1
        """The line of ``_counted``."""
        self._counted = 0
        """The position up to which lines are counted."""
        self._column_base = 0
        """Characters of the current line that are no longer in the buffer."""
        self._at_end = False
        self._parse = json.JSONDecoder(parse_constant=str).raw_decode

    def peek(self) -> str:
        """Return the next character that is no white space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return ""

    def take(self, expected: str) -> str:
        """Return the next character and pass it; raises FileProblem if it is not expected.

        Args:
            expected: the characters that may be there.
        """
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(repr(each) for each in expected)
            self.refuse(f"{wanted} expected" if found else f"the file ends, {wanted} expected")
        self._at += 1
        return found

    def cut(self) -> tuple[int, str]:
        """Return the line and the text of the next value and pass it; raises FileProblem."""
        self.peek()
        while (end := self._end_of_value()) is None:
            if len(self._buffer) - self._at > MAX_RECORD_CHARACTERS:
                raise_too_long(self.line, MAX_RECORD_CHARACTERS + 1)
            self._fill()
        line, text = self.line, self._buffer[self._at : end]
        if len(text) > MAX_RECORD_CHARACTERS:
            raise_too_long(line, MAX_RECORD_CHARACTERS + 1)
        self._at = end
        return line, text

    def cut_key(self) -> str:
        """Return the key of a member and pass it and its colon; raises FileProblem."""
        if self.peek() != '"':
            self.refuse("a key between quotes expected")
        _, text = self.cut()
        self.take(":")
        return str(json.loads(text))

    def skip(self, depth: int = 0) -> None:
        """Pass the next value, of any length, without keeping it; raises FileProblem.

        Args:
            depth: the number of containers around it that are being passed.
        """
        first = self.peek()
        start = self._at
        try:
            end = self._end_of_value()
        except FileProblem:
            end = None  # its parts are looked at one by one
            self._at = start
        if end is not None:
            self._at = end
        elif first == '"':
            self._at += 1
            self._skip_rest_of_string()
        elif first and first in "{[":
            if depth == MAX_DEPTH:
                self.refuse(f"more than {MAX_DEPTH} levels of nesting")
            for _ in self.members() if first == "{" else self.elements():
                self.skip(depth + 1)
        else:
            self._skip_plain_value()

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; the value of each is cut or skipped meanwhile."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            yield self.cut_key()
            if self.take(",}") == "}":
                return

    def elements(self) -> Iterator[None]:
        """Yield for each element of a list, which is cut or skipped meanwhile."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield
            if self.take(",]") == "]":
                return

    @property
    def line(self) -> int:
        """The physical line of the current position, from 1."""
        if self._counted < self._at:
            self._line += count_lines(self._buffer, self._counted, self._at)
            self._counted = self._at
        return self._line

    def refuse(self, message: str) -> NoReturn:
        """Raise FileProblem with the current line and column."""
        line = self.line
        begin = max(self._buffer.rfind("\n", 0, self._at), self._buffer.rfind("\r", 0, self._at))
        column = self._at - begin if begin >= 0 else self._at + 1 + self._column_base
        raise FileProblem(
            RowProblem(line, "", "syntax", f"line {line}, column {column}: {message}")
        )

    def _end_of_value(self) -> int | None:
        """Return where the value at the current position ends; None if the buffer cuts it.

        Raises FileProblem if it is no JSON.
        """
        try:
            _, end = self._parse(self._buffer, self._at)
        except RecursionError:
            self.refuse("the record is too deeply nested")
        except json.JSONDecodeError as error:
            is_cut = "Unterminated string" in error.msg or self._is_near_end(error.pos)
            if is_cut and not self._at_end:
                return None
            self._at = error.pos
            self.refuse(error.msg.split(":")[0].lower())
        except ValueError:  # Python reads no integer of thousands of digits
            self.refuse("a number in the record is too long")
        if self._at_end or self._buffer[end - 1] in '}]"':
            return end
        # What is read as 1 may be the beginning of 1.5.
        return None if self._is_near_end(end) else end

    def _is_near_end(self, position: int) -> bool:
        return position >= len(self._buffer) - _UNFINISHED

    def _skip_plain_value(self) -> None:
        start = self._at
        while True:
            match = _PLAIN_VALUE.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._buffer) or not self._fill():
                break
            start = -1
        if self._at == start:
            self.refuse("a value expected")

    def _skip_rest_of_string(self) -> None:
        while True:
            # A backslash at the end of the buffer stays, with what it escapes.
            match = _STRING_END.match(self._buffer, self._at)
            self._at = match.end() if match else self._at
            if self._buffer[self._at : self._at + 1] == '"':
                self._at += 1
                return
            if not self._fill():
                self.refuse("the file ends within a string")

    def _fill(self) -> bool:
        """Read a block; drop what is passed; return whether there was one."""
        block = next(self._blocks, None)
        if block is None:
            self._at_end = True
            return False
        line = self.line
        begin = max(self._buffer.rfind("\n", 0, self._at), self._buffer.rfind("\r", 0, self._at))
        self._column_base = self._at - begin - 1 + (self._column_base if begin < 0 else 0)
        self._buffer = self._buffer[self._at :] + block
        self._at = self._counted = 0
        self._line = line
        return True
