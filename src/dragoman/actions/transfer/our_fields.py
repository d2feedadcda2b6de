"""Translators of our own columns: the rows of a table, and JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.transfer import columns, formula_cells, values
from dragoman.actions.transfer.columns import NOT, NOT_TAKEN, PASSWORD, ColumnNames
from dragoman.actions.transfer.complete_user import Draft, complete
from dragoman.actions.transfer.recipes.recipe import Context, role_words
from dragoman.actions.transfer.records import ImportOptions, Record, RowProblem, Translation
from dragoman.actions.transfer.values import Converter, ValueProblem
from dragoman.rules.model import Role


class _OurReader:
    """Reads the values of our fields."""

    def __init__(self, options: ImportOptions, context: Context) -> None:
        roles = role_words(values.ROLES, options.map_role)

        def role(value: Any) -> Role | UnsetType:
            found = roles.get(value.strip().lower()) if type(value) is str else None
            return values.role(value) if found is None else found

        self._converters: dict[str, Converter] = {
            field: values.converter(field, now=context.now) for field in values.CONVERTERS
        }
        self._converters["role"] = role
        self._converters[PASSWORD] = values.secret

    def converter(self, field: str) -> Converter:
        """Return how a field is read; ``!`` and a boolean field reads its opposite."""
        if not field.startswith(NOT):
            return self._converters[field]
        convert = self._converters[field.removeprefix(NOT)]

        def opposite(value: Any) -> Any:
            found = convert(value)
            return (not found) if isinstance(found, bool) else found

        return opposite


def _finish(record: Record, draft: Draft, options: ImportOptions) -> Translation:
    password = draft.values.pop(PASSWORD, UNSET)
    if password is not UNSET:
        draft.plain_password = password
    return complete(record, draft, options)


class TableTranslator:
    """Turns the rows of a table of our own columns into people.

    Args:
        fields: names of columns → our fields.
        options: what the operator chose.
        context: the moment of the import.
        defused: formulas have an apostrophe before them, as in our own export.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        options: ImportOptions,
        context: Context,
        *,
        defused: bool = False,
    ) -> None:
        reader = _OurReader(options, context)
        self._options = options
        self._defused = defused
        self._columns: list[tuple[str, str, Callable[[Any], Any]]] = [
            (theirs, field.removeprefix(NOT), reader.converter(field))
            for theirs, field in fields.items()
            if field not in NOT_TAKEN
        ]

    def __call__(self, record: Record) -> Translation:
        """Return what the record means; never raises for bad data."""
        if record.problem is not None:
            return Translation(problems=[record.problem])
        draft = Draft(values={}, problems=[], warnings=[])
        row, found = record.values, draft.values
        for theirs, field, convert in self._columns:
            value = row.get(theirs)
            if value:  # an empty cell says nothing
                if self._defused:
                    value = formula_cells.restore(value)
                try:
                    found[field] = convert(value)
                except ValueProblem as problem:
                    draft.refuse(record.line, field, problem)
        return _finish(record, draft, self._options)


_OTHER_TYPES = {
    "dragoman": "the first line of an exported directory",
    "directory": "the second line of an exported directory",
    "tenant": "a tenant, not a user",
    "group": "a group, not a user",
}
"""Records of our own export that are not users."""


_MAX_PLANS = 1000


class _Plan(msgspec.Struct, frozen=True):
    """How records with the same names of fields are read.

    Attributes:
        fields: the name, our field and its converter.
        refused: our field, and why records with these names are refused.
        not_taken: names of what is not taken over.
    """

    fields: list[tuple[str, str, Converter]]
    refused: list[tuple[str, str]]
    not_taken: list[str]


class RecordTranslator:
    """Turns JSON objects of our own fields into people.

    Args:
        names: the names that fields may have.
        options: what the operator chose.
        context: the moment of the import.
    """

    def __init__(self, names: ColumnNames, options: ImportOptions, context: Context) -> None:
        self._names = names
        self._options = options
        self._reader = _OurReader(options, context)
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def __call__(self, record: Record) -> Translation:
        """Return what the record means; never raises for bad data."""
        if record.problem is not None:
            return Translation(problems=[record.problem])
        row = record.values
        kind = row.get(columns.RECORD_TYPE)
        if type(kind) is str and (reason := _OTHER_TYPES.get(kind)):
            return Translation(skipped=reason)
        plan = self._plan(tuple(row))
        draft = Draft(values={}, problems=[], warnings=[])
        for field, message in plan.refused:
            draft.problems.append(RowProblem(record.line, field, "columns", message))
        for theirs, field, convert in plan.fields:
            try:
                draft.values[field] = convert(row[theirs])
            except ValueProblem as problem:
                draft.refuse(record.line, field, problem)
        draft.warnings += [f"{name} are not taken over" for name in plan.not_taken if row[name]]
        return _finish(record, draft, self._options)

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(names)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[names] = self._new_plan(names)
        return plan

    def _new_plan(self, names: tuple[str, ...]) -> _Plan:
        found = self._names.find_all(names)
        fields = [(name, field) for name, field in found.items() if field]
        refused = columns.duplicates(fields)
        if not self._options.ignore_unknown:
            unknown = (name for name, field in found.items() if field is None)
            refused += [("", self._names.unknown_field(name)) for name in unknown]
        return _Plan(
            [
                (name, field.removeprefix(NOT), self._reader.converter(field))
                for name, field in fields
                if field not in NOT_TAKEN
            ],
            refused,
            [name for name, field in fields if field in NOT_TAKEN],
        )
