"""Finds out what a file is by its content, and opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from dragoman.actions.transfer.readers.csv_table import CsvTable
from dragoman.actions.transfer.readers.encodings import TextFile
from dragoman.actions.transfer.readers.json_lines import JsonLines
from dragoman.actions.transfer.readers.json_list import JsonList
from dragoman.actions.transfer.readers.ldif import Ldif
from dragoman.actions.transfer.records import FileOptions, RecordSource

FORMATS = ("csv", "tsv", "ndjson", "json", "ldif")

_LDIF = re.compile(r"(?:#[^\n]*\n|[ \t\r]*\n)*(?:version:[ ]*[0-9]|dn::?[ ]*[^ ])", re.IGNORECASE)


def open_records(
    path: Path, options: FileOptions, *, list_paths: Sequence[str] = ()
) -> RecordSource:
    """Return the records of a file; the format is found out by the content if it is not given.

    Args:
        path: the file; a regular one may be iterated several times, a pipe once.
        options: format, encoding, delimiter and columns.
        list_paths: where records may be in a JSON document, such as ``users``; the first one
            in the file is taken. Empty: the document itself, or its first list of objects.

    Raises:
        FileProblem: the file is empty, no text, or has no header or no list.
        OSError: the file cannot be read.
    """
    file = TextFile(path, options.encoding)
    try:
        return _open(file, options, list_paths)
    except BaseException:
        file.close()
        raise


def _open(file: TextFile, options: FileOptions, list_paths: Sequence[str]) -> RecordSource:
    match options.format or _find_format(file, options, list_paths):
        case "ndjson":
            return JsonLines(file)
        case "json":
            return JsonList(file, list_paths)
        case "ldif":
            return Ldif(file)
        case _:
            return CsvTable(file, options)


def _find_format(file: TextFile, options: FileOptions, list_paths: Sequence[str]) -> str:
    text = file.head.lstrip(" \t\r\n")
    if options.columns or options.delimiter or not text:
        return "csv"
    if text.startswith("["):
        return "json"
    if text.startswith("{"):
        return "ndjson" if _is_lines(text, list_paths) else "json"
    return "ldif" if _LDIF.match(text) else "csv"


def _is_lines(text: str, list_paths: Sequence[str]) -> bool:
    """Return whether a text that begins with an object is one object a line."""
    first, _, rest = text.partition("\n")
    rest = rest.lstrip(" \t\r\n")
    try:
        value = msgspec.json.decode(first.encode(errors="replace"))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        # A record that is broken, before one that begins at the beginning of a line; but a line of
        # a document may end after a bracket or a comma.
        return rest.startswith("{") and not first.rstrip().endswith(("{", "[", ","))
    if rest:
        return True
    # A single line: a document if it holds a list of records, else one record.
    if list_paths:
        return not any(_has_list(value, path.split(".")) for path in list_paths if path)
    return not _has_objects(value)


def _has_list(value: object, keys: list[str]) -> bool:
    if isinstance(value, list):
        items = cast("list[object]", value)
        return not keys or any(_has_list(item, keys) for item in items)
    if not isinstance(value, dict) or not keys:
        return False
    return _has_list(cast("dict[str, object]", value).get(keys[0]), keys[1:])


def _has_objects(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_objects(each) for each in cast("dict[str, object]", value).values())
    return isinstance(value, list) and isinstance((*value, None)[0], dict)
