"""Recipes: what the records of other products mean; the only place that names products here.

A module with a ``RECIPE`` is one: nothing else has to be edited. A product that writes several
formats has a module for each of them, with the same name in the recipe.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from functools import cache
from importlib import import_module

from dragoman.actions.transfer.recipes.recipe import Recipe


@cache
def recipes() -> tuple[Recipe, ...]:
    """Return all recipes, sorted by the names of their modules."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = (import_module(f"{__name__}.{name}") for name in names)
    return tuple(module.RECIPE for module in modules if hasattr(module, "RECIPE"))


def names() -> tuple[str, ...]:
    """Return the words for ``--from``."""
    return tuple(sorted({recipe.name for recipe in recipes()}))


def formats(name: str) -> tuple[str, ...]:
    """Return the formats of a product's files; empty for an unknown product."""
    return tuple(each for recipe in recipes() if recipe.name == name for each in recipe.formats)


def list_paths(name: str = "") -> tuple[str, ...]:
    """Return where lists of people are in JSON documents of a product, or of all products."""
    found = (r for r in recipes() if "json" in r.formats and r.name == (name or r.name))
    return tuple(dict.fromkeys(path for recipe in found for path in recipe.list_paths))


def find(name: str, file_format: str) -> Recipe | None:
    """Return the recipe of a product for files of a format; None if there is none.

    Args:
        name: the word for ``--from``.
        file_format: csv, tsv, ndjson, json or ldif.
    """
    matching = (r for r in recipes() if r.name == name and file_format in r.formats)
    return next(matching, None)


def recognise(fields: Collection[str], file_format: str) -> Recipe | None:
    """Return the recipe of the product that writes such files; None if none is known.

    Args:
        fields: the columns of the table, or the fields of the first record.
        file_format: csv, tsv, ndjson, json or ldif.
    """
    known = frozenset(fields)
    matching = [
        recipe
        for recipe in recipes()
        if recipe.recognised_by and recipe.recognised_by <= known and file_format in recipe.formats
    ]
    return max(matching, key=lambda recipe: len(recipe.recognised_by), default=None)
