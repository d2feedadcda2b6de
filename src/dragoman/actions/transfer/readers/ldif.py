"""LDIF (RFC 2849): entries of a directory."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from dragoman.actions.transfer.readers.encodings import (
    MAX_RECORD_CHARACTERS,
    TextFile,
    raise_too_long,
    without_line_end,
)
from dragoman.actions.transfer.records import Record, RowProblem

MAX_ATTRIBUTES = 1000
TEXT_ATTRIBUTES = frozenset(
    {
        *("dn", "uid", "cn", "sn", "givenname", "displayname", "mail", "userpassword"),
        *("description", "telephonenumber", "mobile", "o", "ou", "l", "labeleduri", "memberof"),
        *("samaccountname", "userprincipalname", "objectclass", "title"),
    }
)
"""Attributes whose values must be UTF-8; others may be bytes, such as photographs, and are passed
over then."""


class Attributes(dict[str, Any]):
    """Attributes of an entry: lists of texts, by names whose case does not matter (RFC 4512)."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the values of an attribute."""
        return super().get(name.lower(), default)


class _NotRead(Exception):
    """An entry cannot be read; the arguments are the code and the message."""


class Ldif:
    """The entries of an LDIF file; the names of attributes are in lower case.

    Args:
        file: the file.
    """

    format = "ldif"
    header: tuple[str, ...] = ()
    delimiter = ""
    list_path = ""

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.size = file.size
        self.encoding = file.encoding
        self.form = file.form("version: 1\n\n", "\n\n", "\n")

    def __iter__(self) -> Iterator[Record]:
        """Yield the entries; raises FileProblem."""
        entry: list[str] = []
        number = line = length = 0
        first_line = 1
        for lines in self.file.lines():
            for text in lines:
                line += 1
                if without_line_end(text):
                    if not entry:
                        first_line, length = line, 0
                    length += len(text)
                    if length > MAX_RECORD_CHARACTERS:
                        raise_too_long(first_line, MAX_RECORD_CHARACTERS + 1)
                    entry.append(text)
                elif entry:
                    record = self._record(number + 1, first_line, entry)
                    entry = []
                    if record is not None:
                        number += 1
                        yield record
        if entry:
            record = self._record(number + 1, first_line, entry)
            if record is not None:
                yield record

    def _record(self, number: int, line: int, entry: list[str]) -> Record | None:
        text = "".join(entry)
        position = self.file.position
        try:
            raw = self.file.encode(without_line_end(text))
            values = _parse(_unfold(entry), line)
        except UnicodeEncodeError as error:
            problem = self.file.bad_character(line, text, error)
        except _NotRead as error:
            problem = RowProblem(line, "", *error.args)
        else:
            return Record(number, line, values, raw, position) if values else None
        raw = self.file.encode_as_it_is(without_line_end(text))
        return Record(number, line, {}, raw, position, problem)


def _unfold(entry: list[str]) -> list[tuple[int, str]]:
    """Return the logical lines with the number of the first physical one, without comments."""
    logical: list[tuple[int, str]] = []
    for offset, text in enumerate(entry):
        line = without_line_end(text)
        if line.startswith(" ") and logical:
            start, begun = logical[-1]
            logical[-1] = (start, begun + line[1:])
        else:
            logical.append((offset, line))
    return [each for each in logical if not each[1].startswith("#")]


def _parse(lines: list[tuple[int, str]], first_line: int) -> Attributes:
    values = Attributes()
    for offset, line in lines:
        at = f"line {first_line + offset}"
        name, colon, rest = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise _NotRead("syntax", f"{at}: not an attribute and its value (RFC 2849)")
        if name == "version" and not values and rest.strip() == "1":
            continue
        if name in {"changetype", "control"}:
            raise _NotRead("syntax", f"{at}: changes are not imported, only entries ({name})")
        if rest.startswith("<"):
            raise _NotRead("syntax", f"{at}: values at a URL are not read ({name[:50]})")
        value = _decode(name, rest, at)
        if value is not None:
            values.setdefault(name, []).append(value)
        if len(values) > MAX_ATTRIBUTES:
            raise _NotRead("columns", f"{at}: more than {MAX_ATTRIBUTES} attributes")
    if values and "dn" not in values:
        raise _NotRead("syntax", f"line {first_line}: an entry begins with its dn")
    return values


def _decode(name: str, rest: str, at: str) -> str | None:
    """Return the value after an attribute's first colon; None for bytes that are no text."""
    if not rest.startswith(":"):
        return rest.removeprefix(" ")
    try:
        data = base64.b64decode(rest[1:].strip(" "), validate=True)
    except (binascii.Error, ValueError):
        raise _NotRead("syntax", f"{at}: not base64 ({name[:50]})") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if name.partition(";")[0] not in TEXT_ATTRIBUTES:
            return None
        byte = data[error.start]
        raise _NotRead("encoding", f"{at}: byte 0x{byte:02X} is not UTF-8 ({name[:50]})") from None
