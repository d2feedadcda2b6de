"""Finds out what a file is by its content, and opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

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
    match options.format or _find_format(file, options):
        case "ndjson":
            return JsonLines(file)
        case "json":
            return JsonList(file, list_paths)
        case "ldif":
            return Ldif(file)
        case _:
            return CsvTable(file, options)


def _find_format(file: TextFile, options: FileOptions) -> str:
    text = file.head.lstrip(" \t\r\n")
    if options.columns or options.delimiter or not text:
        return "csv"
    if text.startswith("["):
        return "json"
    if text.startswith("{"):
        return "ndjson" if _is_lines(text, is_all=file.head_is_all) else "json"
    return "ldif" if _LDIF.match(text) else "csv"


def _is_lines(text: str, *, is_all: bool) -> bool:
    """Return whether a text that begins with an object is one object a line."""
    first, line_end, rest = text.partition("\n")
    rest = rest.lstrip(" \t\r\n")
    try:
        value = msgspec.json.decode(first.encode(errors="replace"))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        # The first record may be broken: the second one begins at a line's start all the same.
        return rest.startswith("{") and text[len(first) + 1 :].startswith(("{", "\n", "\r\n"))
    if rest:
        return True
    # A single line: a document if it holds a list of objects, else one record.
    has_lists = isinstance(value, dict) and any(_has_objects(each) for each in value.values())
    return not has_lists if line_end or is_all else False


def _has_objects(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_objects(each) for each in value.values())
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
