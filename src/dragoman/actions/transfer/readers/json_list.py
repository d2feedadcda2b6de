"""JSON documents with a list of records somewhere inside, read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec

from dragoman.actions.transfer.readers.encodings import TextFile
from dragoman.actions.transfer.readers.json_records import decode_object
from dragoman.actions.transfer.readers.json_scanner import Scanner
from dragoman.actions.transfer.records import FileProblem, Record, RowProblem
from dragoman.rules.strict_json import MAX_DEPTH, NotStrictJson

TOP = ""
"""The path of a list that is the whole document."""
MAX_LISTED = 10
"""Number of lists that are named if the wanted one is not there."""


class JsonList:
    """The records of the lists at one path of a JSON document.

    A path is the keys on the way, joined by dots; lists on the way are passed through, so that
    ``orgs.users`` is the users of all ``orgs``.

    Args:
        file: the file.
        paths: the paths to look for; the first one in the file is taken. Empty: the document
            itself if it is a list, else its first list of objects.

    Raises FileProblem if there is no such list.
    """

    format = "json"
    header: tuple[str, ...] = ()
    delimiter = ""

    def __init__(self, file: TextFile, paths: Sequence[str] = ()) -> None:
        self.file = file
        self.size = file.size
        self.encoding = file.encoding
        if not file.head.lstrip(" \t\r\n").startswith(("{", "[")):
            message = "line 1, column 1: no JSON document, '{' or '[' expected"
            raise FileProblem(RowProblem(1, "", "syntax", message))
        self.list_path = paths[0] if len(paths) == 1 else _find(file, paths)
        keys = [json.dumps(key) for key in self.list_path.split(".") if key]
        begin = "".join(f"{{{key}: " for key in keys)
        self.form = file.form(begin + "[\n", ",\n", "\n]" + "}" * len(keys) + "\n")

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raises FileProblem, also for text that is not JSON."""
        reading = _Reading(self.file, self.list_path)
        yield from reading.walk(TOP)
        reading.end()
        if not reading.found:
            _refuse_missing(self.file, [self.list_path])


class _Reading:
    """One pass over a document."""

    def __init__(self, file: TextFile, path: str) -> None:
        self._file = file
        self._path = path
        self._scanner = Scanner(file)
        self._number = 0
        self.found = False

    def walk(self, path: str, depth: int = 0) -> Iterator[Record]:
        """Yield the records within the next value, whose path is given."""
        first = self._scanner.peek()
        if first == "[" and path == self._path:
            self.found = True
            for _ in self._scanner.elements():
                yield self._record()
        elif first == "[" and _leads_to(path, self._path) and depth < MAX_DEPTH:
            for _ in self._scanner.elements():
                yield from self.walk(path, depth + 1)
        elif first == "{" and _leads_to(path, self._path) and depth < MAX_DEPTH:
            for key in self._scanner.members():
                yield from self.walk(f"{path}.{key}" if path else key, depth + 1)
        else:
            self._scanner.skip()

    def end(self) -> None:
        """Raise FileProblem if there is something after the document."""
        if self._scanner.peek():
            self._scanner.refuse("something follows the end of the document")

    def _record(self) -> Record:
        line, text = self._scanner.cut()
        self._number += 1
        number, position = self._number, self._file.position
        try:
            raw = self._file.encode(text)
            values = decode_object(raw if self._file.encoding == "utf-8" else text.encode())
            return Record(number, line, values, raw, position)
        except UnicodeEncodeError as error:
            problem = self._file.bad_character(line, text, error)
        except NotStrictJson as error:
            problem = RowProblem(line, "", "syntax", f"line {line}: {error}")
        return Record(number, line, {}, self._file.encode_as_it_is(text), position, problem)


class FoundList(msgspec.Struct, frozen=True):
    """A list of a document, and whether its first element is an object."""

    path: str
    of_objects: bool


def lists_in(scanner: Scanner, path: str = TOP, depth: int = 0) -> Iterator[FoundList]:
    """Yield the lists of a document in their order, one after the other.

    Args:
        scanner: before the value to look into.
        path: the path of this value.
        depth: how deep in the document it is; deeper than ``MAX_DEPTH`` is an error.

    Raises FileProblem for text that is not JSON.
    """
    first = scanner.peek()
    if depth >= MAX_DEPTH or not first or first not in "{[":
        scanner.skip()
    elif first == "{":
        for key in scanner.members():
            yield from lists_in(scanner, f"{path}.{key}" if path else key, depth + 1)
    else:
        yielded = False
        for _ in scanner.elements():
            if not yielded:
                yield FoundList(path, scanner.peek() == "{")
                yielded = True
            yield from lists_in(scanner, path, depth + 1)
        if not yielded:
            yield FoundList(path, of_objects=False)


def _leads_to(path: str, wanted: str) -> bool:
    return path != wanted and (not path or wanted.startswith(f"{path}."))


def _find(file: TextFile, paths: Sequence[str]) -> str:
    for found in lists_in(Scanner(file)):
        if found.path in paths or (not paths and (found.of_objects or found.path == TOP)):
            return found.path
    _refuse_missing(file, paths)
    return TOP


def _refuse_missing(file: TextFile, paths: Sequence[str]) -> None:
    present: list[str] = []
    for found in lists_in(Scanner(file)):
        if found.of_objects and found.path not in present:
            present.append(found.path)
        if len(present) == MAX_LISTED:
            break
    wanted = " or ".join(repr(path) if path else "at the top" for path in paths) or "of objects"
    names = ", ".join(repr(path)[:60] if path else "at the top" for path in present) or "none"
    message = f"no list {wanted} in the document (lists in it: {names})"
    raise FileProblem(RowProblem(0, "", "syntax", message))
