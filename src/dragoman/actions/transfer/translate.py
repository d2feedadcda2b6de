"""Chooses who understands the records of a file: a product's recipe, or our own columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

import msgspec

from dragoman.actions.transfer import recipes, values
from dragoman.actions.transfer.columns import ColumnNames
from dragoman.actions.transfer.formula_cells import MARK_COLUMN
from dragoman.actions.transfer.our_fields import RecordTranslator, TableTranslator
from dragoman.actions.transfer.recipes.recipe import Context, Recipe, RecipeTranslator
from dragoman.actions.transfer.records import (
    FileOptions,
    FileProblem,
    ImportOptions,
    Record,
    RecordSource,
    RowProblem,
    Translator,
)

OURS = "dragoman"
"""The word of ``--from`` for our own columns, where a file looks like a product's."""
_LOOKED_AT = 100
"""Records among which the first readable one is looked for."""


class Choice(msgspec.Struct, frozen=True):
    """Who understands the records of a file.

    Attributes:
        translate: turns a record into a person; the values are checked.
        recipe: the name of the product's recipe; empty: our own columns.
        fields: names of columns of a table → our fields, without a recipe.
        notes: what a person should read before the import begins.
    """

    translate: Translator
    recipe: str = ""
    fields: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


def choose(
    source: RecordSource,
    file_options: FileOptions,
    options: ImportOptions,
    *,
    aliases: Mapping[str, str],
    context: Callable[[Recipe | None], Context],
) -> Choice:
    """Return who understands the records of a file.

    Args:
        source: the file; one without a header is read as far as its first readable record.
        file_options: how the file is read; its ``recipe`` names the product.
        options: what the operator chose.
        aliases: names that the contracts have for our fields.
        context: returns what a recipe, or our own columns, need besides the records.

    Raises:
        FileProblem: no column is known, two are the same, or an option names what there is not.
    """
    _check_map_role(options)
    fields = source.header or _first_fields(source)
    recipe = _recipe(source, fields, file_options)
    known = context(recipe)
    if recipe is None:
        names = ColumnNames(aliases, options.map)
        if not source.header:
            return Choice(RecordTranslator(names, options, known))
        found = names.resolve(source.header)
        defused = source.header[0] == MARK_COLUMN
        translate = TableTranslator(found.fields, options, known, defused=defused)
        return Choice(translate, fields=found.fields, notes=found.warnings)
    note = f"recognised as a file of {recipe.product}; --from {OURS} reads it as our own columns"
    notes = () if file_options.recipe else (note,)
    return Choice(RecipeTranslator(recipe, options, known), recipe.name, notes=notes)


def _first_fields(source: Iterable[Record]) -> tuple[str, ...]:
    readable = (tuple(each.values) for each in islice(source, _LOOKED_AT) if each.problem is None)
    return next(readable, ())


def _recipe(source: RecordSource, fields: Iterable[str], options: FileOptions) -> Recipe | None:
    if options.recipe == OURS:
        return None
    if not options.recipe:
        return recipes.recognise(tuple(fields), source.format)
    recipe = recipes.find(options.recipe, source.format)
    if recipe is None:
        formats = recipes.formats(options.recipe)
        message = (
            f"--from {options.recipe}: a file of {' or '.join(formats)} is expected, "
            f"this is {source.format}"
            if formats
            else f"--from: no such product; one of {', '.join((OURS, *recipes.names()))}"
        )
        raise FileProblem(RowProblem(0, "", "columns", message))
    return recipe


def _check_map_role(options: ImportOptions) -> None:
    for word, role in options.map_role.items():
        if role.lower() not in values.ROLES:
            message = f"--map-role {word}={role}: one of {', '.join(values.ROLES)}"
            raise FileProblem(RowProblem(0, "role", "unknown_role", message))
