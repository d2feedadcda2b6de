"""What a recipe needs besides the records: hashes that are kept apart, and their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec import UNSET

from dragoman.actions.transfer import values
from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.recipes.recipe import Context, Recipe, Row, SeparateHashes
from dragoman.actions.transfer.records import FileOptions, FileProblem, RecordSource, RowProblem
from dragoman.actions.transfer.values import ValueProblem
from dragoman.store.temporary_lookup import TemporaryLookup

MAX_CONFIG_BYTES = 65_536
"""Maximum size of a file of hash parameters."""


def read_context(recipe: Recipe | None, path: Path, options: FileOptions, *, now: int) -> Context:
    """Return what the recipe needs besides the records; memory is flat at any size of the files.

    Args:
        recipe: the product's recipe; None for our own columns.
        path: the file with the people, which may hold the hashes in a list of their own.
        options: the paths of the other files.
        now: the moment of the import, in microseconds since 1970.

    Raises:
        FileProblem: a file cannot be read, or the product has none of this kind.
        OSError: the same.
    """
    hashes = recipe.hashes if recipe else None
    if options.passwords and (hashes is None or hashes.list_paths):
        _refuse("--passwords: this product has no second file of hashes")
    find_hash = None
    if hashes is not None and hashes.list_paths:
        records = open_records(path, options, list_paths=hashes.list_paths)
        find_hash = TemporaryLookup(_entries(records, hashes, "")).find
    elif hashes is not None and options.passwords:
        records = open_records(Path(options.passwords), FileOptions(encoding=options.encoding))
        find_hash = TemporaryLookup(_entries(records, hashes, "--passwords: ")).find
    return Context(now=now, find_hash=find_hash, hash_config=_hash_config(recipe, options))


def _entries(
    records: RecordSource, hashes: SeparateHashes, where: str
) -> Iterator[tuple[str, str]]:
    nothing = Context(now=0)
    for record in records:
        if record.problem is not None:
            # A line that is passed over would be a person without a password, without a word.
            raise FileProblem(
                msgspec.structs.replace(record.problem, message=where + record.problem.message)
            )
        row = Row(record.values, nothing)
        try:
            key, value = values.text(row.read(hashes.key)), values.text(row.read(hashes.value))
        except ValueProblem as problem:
            message = f"{where}line {record.line}: {problem.message}"
            raise FileProblem(RowProblem(record.line, "", problem.code, message)) from None
        if key is not UNSET and value is not UNSET:
            yield key, value


def _hash_config(recipe: Recipe | None, options: FileOptions) -> Mapping[str, str]:
    if not options.hash_config:
        return {}
    read = recipe.read_hash_config if recipe else None
    if read is None:
        _refuse("--hash-config: this product has no parameters of hashes")
    with Path(options.hash_config).open("rb") as file:
        raw = file.read(MAX_CONFIG_BYTES)
    try:
        return read(raw.decode())
    except UnicodeDecodeError:
        _refuse("--hash-config: not a text in UTF-8")
    except ValueError as error:
        _refuse(f"--hash-config: {error}")


def _refuse(message: str) -> NoReturn:
    raise FileProblem(RowProblem(0, "", "columns", message))
