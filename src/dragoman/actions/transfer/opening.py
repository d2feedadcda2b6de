"""Opens a file for an import: its records, who understands them, and the files beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dragoman.actions.transfer import recipes, translate
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.context import read_context
from dragoman.actions.transfer.recipes.recipe import Context, Recipe
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    RecordSource,
)
from dragoman.actions.transfer.translate import OURS, Choice

_MAX_LINE_BYTES = 65_536
_DOCUMENTS = frozenset({"json", "ndjson"})


def open_import(
    path: Path,
    file_options: FileOptions,
    options: ImportOptions,
    *,
    aliases: Mapping[str, str],
    now: int,
) -> tuple[RecordSource, Choice]:
    """Return the records of a file, and who understands them.

    Args:
        path: the file; it is read several times.
        file_options: how it is read, which product wrote it, and which files belong to it.
        options: what the operator chose.
        aliases: names that the contracts have for our fields.
        now: the moment of the import, in microseconds since 1970.

    Raises:
        FileProblem: the file, or one that belongs to it, cannot be imported as a whole.
        OSError: a file cannot be read.
    """
    file_options = _as_written(path, file_options)
    source = _open(path, file_options)

    def context(recipe: Recipe | None) -> Context:
        return read_context(recipe, path, file_options, now=now)

    choice = translate.choose(source, file_options, options, aliases=aliases, context=context)
    return source, choice


def _open(path: Path, options: FileOptions) -> RecordSource:
    if options.recipe and options.recipe != OURS:
        return open_records(path, options, list_paths=recipes.list_paths(options.recipe))
    if options.recipe != OURS:
        try:
            return open_records(path, options, list_paths=recipes.list_paths())
        except FileProblem:
            pass  # no list where a product has one: the first list is meant
    return open_records(path, options)


def _as_written(path: Path, options: FileOptions) -> FileOptions:
    """Return the options with the format of a product that has one, or its columns."""
    if options.columns or options.recipe == OURS or options.format not in {"", "csv"}:
        return options
    with path.open("rb") as file:
        line = file.readline(_MAX_LINE_BYTES).decode(errors="replace").strip()
    if not options.format and line.startswith(("{", "[")):
        documents = [each for each in recipes.formats(options.recipe) if each in _DOCUMENTS]
        # A product that writes no lines: a document of one line is no record.
        known = documents[0] if len(documents) == 1 else ""
        return msgspec.structs.replace(options, format=known)
    for recipe in recipes.recipes():
        if recipe.columns and _is_meant(recipe, line, options.recipe):
            return msgspec.structs.replace(
                options,
                format="csv",
                columns=recipe.columns,
                delimiter=options.delimiter or recipe.delimiter,
            )
    return options


def _is_meant(recipe: Recipe, line: str, chosen: str) -> bool:
    if chosen or recipe.is_first_row is None:
        return recipe.name == chosen
    try:
        return recipe.is_first_row(next(csv.reader([line], strict=True), []))
    except csv.Error:
        return False
