"""What a recipe is: data that says what the records of one product mean, and its interpreter.

Constants need no place of their own: ``fields={"active": always(True)}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET, UnsetType

from dragoman.actions.transfer import values
from dragoman.actions.transfer.complete_user import Draft, complete, refuse_hash
from dragoman.actions.transfer.recipes.hash_spellings import HashProblem
from dragoman.actions.transfer.records import ImportOptions, Record, Translation
from dragoman.actions.transfer.values import ValueProblem
from dragoman.rules.model import Role


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe knows besides the record.

    Attributes:
        now: the moment of the import, in microseconds since 1970.
        find_hash: returns the hash of a key from where the recipe's ``SeparateHashes`` are; None
            without the option ``--passwords``.
        hash_config: the parameters of a file of parameters (``--hash-config``), by name.
    """

    now: int
    find_hash: Callable[[str], str | None] | None = None
    hash_config: Mapping[str, str] = {}


class Row(msgspec.Struct, frozen=True):
    """A record as the functions of a recipe see it.

    A path is the name of a column or field, or names joined by dots for what is nested; a number
    is a place in a list (``emails.0.address``). Absent and null are the same.
    """

    values: Mapping[str, Any]
    context: Context

    def get(self, path: str) -> Any:
        """Return the value at a path as the file has it; None if it is absent.

        Raises ValueProblem if there is a list where the path expects an object, or the reverse:
        a password that is not found where it should be would be none, without a word.
        """
        found = self.values.get(path)
        if found is None and "." in path:
            found = _walk(self.values, path)
        return found

    def read(self, source: Source) -> Any:
        """Return the value at a path, or what a function finds."""
        return self.get(source) if isinstance(source, str) else source(self)

    def text(self, path: str) -> str:
        """Return a text without its outer white space; empty if it is absent."""
        found = values.text(self.get(path))
        return "" if found is UNSET else found

    def flag(self, path: str) -> bool:
        """Return a boolean; False if it is absent."""
        return values.boolean(self.get(path)) is True

    def moment(self, path: str) -> int:
        """Return a time of any year in microseconds since 1970; 0 if it is absent."""
        found = values.moment(self.get(path))
        return 0 if found is UNSET else found


def _walk(found: Any, path: str) -> Any:
    for name in path.split("."):
        if found is None:
            return None
        if name.isdecimal():
            if not isinstance(found, list):
                raise ValueProblem("invalid", f"{values.kind(found)} instead of a list")
            items = cast("list[Any]", found)
            found = items[int(name)] if int(name) < len(items) else None
        else:
            if not isinstance(found, Mapping):
                raise ValueProblem("invalid", f"{values.kind(found)} instead of an object")
            found = cast("Mapping[str, Any]", found).get(name)
    return found


Source = str | Callable[[Row], Any]
"""Where a value comes from: a path, or a named function of the record."""
Reason = Callable[[Row], str]
"""Returns why a record is skipped, or what is not taken over; empty if there is no reason."""


def present(path: str) -> Callable[[Row], bool]:
    """Return the source that says whether there is a value at a path, such as a time of proof."""
    return lambda row: row.get(path) not in (None, "", [], {})


def when(test: Source, reason: str) -> Reason:
    """Return the reason for records that have something.

    Args:
        test: a path with a value, whatever it is, or a function that returns something true.
        reason: what a person reads.
    """
    has = present(test) if isinstance(test, str) else test
    return lambda row: reason if has(row) else ""


def always(value: Any) -> Callable[[Row], Any]:
    """Return the source of a constant."""
    return lambda row: value


def first_of(*paths: str) -> Callable[[Row], Any]:
    """Return the source of the first value that is there; products rename their fields."""

    def first(row: Row) -> Any:
        return next((found for path in paths if (found := row.get(path)) not in (None, "")), None)

    return first


SECOND_FACTOR = "the second factor is not taken over"
MORE_ADDRESSES = "only the first e-mail address is taken over"
PHONE_SIGN_IN = "the phone number is taken over as text; it does not sign in here"
OTHER_SIGN_IN = "the account signs in by another service, which is not taken over; no password"
"""Warnings that several products share."""


class SeparateHashes(msgspec.Struct, frozen=True, kw_only=True):
    """Records that hold the hashes, apart from the people.

    Attributes:
        key: what the hash is looked up by.
        value: the hash; records without one are passed over.
        list_paths: where in the same JSON document they may be; none: the file of ``--passwords``.
    """

    key: Source
    value: Source
    list_paths: tuple[str, ...] = ()


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of one product mean. Fields that it does not name are passed over.

    Attributes:
        name: the word for ``--from``.
        product: the product's name for people.
        formats: the formats that the product writes: csv, tsv, ndjson, json, ldif.
        list_paths: where in a JSON document a list of people may be, as names joined by dots;
            empty: the document itself is the list. Lists on the way are passed through.
        columns: the columns of a table whose file has no header.
        is_first_row: whether the cells of the first line are those of such a file.
        delimiter: what stands between the columns, if the file does not show it.
        recognised_by: names of columns or fields that together occur in no other product's file.
        unwrap: the field that holds the whole record in some files of the product.
        only: whether a record is about a person at all; others are not counted.
        fields: our fields of ``ImportedUser``, and where their values come from.
        password_hash: the hash as ``rules.passwords.judge`` reads it; a function raises
            ``HashProblem``.
        hashes: where the hashes are, if they are not in the records.
        read_hash_config: reads the text of the file of ``--hash-config``; raises ValueError.
        role: the product's words for what a person is: one, or a list.
        roles: these words, and our roles for them; the highest one counts.
        ignore_other_roles: pass over other words, with a warning; they are an error otherwise.
        skip: why a record is no person to be imported.
        warn: what is not taken over.
        export: the product's own command that writes such a file, with its version and source.
    """

    name: str
    product: str
    formats: tuple[str, ...]
    fields: Mapping[str, Source]
    list_paths: tuple[str, ...] = ("",)
    columns: tuple[str, ...] = ()
    is_first_row: Callable[[Sequence[str]], bool] | None = None
    delimiter: str = ""
    recognised_by: frozenset[str] = frozenset()
    unwrap: str = ""
    only: Callable[[Row], bool] | None = None
    password_hash: Source | None = None
    hashes: SeparateHashes | None = None
    read_hash_config: Callable[[str], Mapping[str, str]] | None = None
    role: Source | None = None
    roles: Mapping[str, Role] = {}
    ignore_other_roles: bool = False
    skip: tuple[Reason, ...] = ()
    warn: tuple[Reason, ...] = ()
    export: str = ""


OTHER_ROLES = "roles that mean nothing here are not taken over (--map-role WORD=ROLE does it)"


class RecipeTranslator:
    """Turns the records of one product into people, as its recipe says."""

    def __init__(self, recipe: Recipe, options: ImportOptions, context: Context) -> None:
        self._recipe = recipe
        self._options = options
        self._context = context
        self._roles = role_words(recipe.roles, options.map_role)
        theirs = {ours: name for name, ours in options.map.items() if ours}
        sources: dict[str, Source] = {**recipe.fields, **theirs}
        sources = {
            ours: source
            for ours, source in sources.items()
            if not (isinstance(source, str) and options.map.get(source) == "")
        }
        self._password_hash = sources.pop("password_hash", recipe.password_hash)
        self._fields = [
            (ours, _getter(source), values.converter(ours, now=context.now))
            for ours, source in sources.items()
        ]
        self._role = None if recipe.role is None or "role" in sources else recipe.role

    def __call__(self, record: Record) -> Translation:
        """Return what the record means; never raises for bad data."""
        if record.problem is not None:
            return Translation(problems=[record.problem])
        recipe = self._recipe
        row = Row(record.values, self._context)
        draft = Draft(values={}, problems=[], warnings=[])
        try:
            if recipe.unwrap and (inner := row.get(recipe.unwrap)) is not None:
                row = Row(_object(inner), self._context)
            if recipe.only is not None and not recipe.only(row):
                return Translation()
            for reason in recipe.skip:
                if why := reason(row):
                    return Translation(skipped=why)
            draft.warnings += filter(None, (_warning(warn, row) for warn in recipe.warn))
        except ValueProblem as problem:
            draft.refuse(record.line, "", problem)
            return Translation(problems=draft.problems)
        for field, getter, convert in self._fields:
            try:
                draft.values[field] = convert(getter(row))
            except ValueProblem as problem:
                draft.refuse(record.line, field, problem)
        if self._role is not None:
            try:
                draft.values["role"] = self._highest_role(row.read(self._role), draft.warnings)
            except ValueProblem as problem:
                draft.refuse(record.line, "role", problem)
        if self._password_hash is not None:
            self._read_hash(record.line, row, draft, self._password_hash)
        return complete(record, draft, self._options)

    def _read_hash(self, line: int, row: Row, draft: Draft, source: Source) -> None:
        try:
            draft.values["password_hash"] = values.text(_getter(source)(row))
        except ValueProblem as problem:
            refuse_hash(line, draft, self._options, problem)
        except HashProblem as problem:
            refuse_hash(line, draft, self._options, ValueProblem(problem.code, str(problem)))
        except ValueError as problem:
            # Only our own messages are known not to contain the hash.
            why = str(problem) if type(problem) is ValueError else "malformed"
            refuse_hash(line, draft, self._options, ValueProblem("unreadable_hash", why))

    def _highest_role(self, found: Any, warnings: list[str]) -> Role | UnsetType:
        words = cast("Iterable[Any]", found) if isinstance(found, list | tuple) else (found,)
        texts = [word for each in words if (word := values.text(each)) is not UNSET]
        known = [role for word in texts if (role := self._roles.get(word.lower())) is not None]
        if self._recipe.ignore_other_roles:
            if len(known) < len(texts):
                warnings.append(OTHER_ROLES)
        elif texts and not known:
            raise ValueProblem("unknown_role", values.unknown_role(*texts))
        return min(known, default=UNSET)


def _warning(warn: Reason, row: Row) -> str:
    try:
        return warn(row)
    except HashProblem:  # the hash is judged in its own place
        return ""


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise ValueProblem("invalid", f"{values.kind(value)} instead of an object")


def role_words(roles: Mapping[str, Role], chosen: Mapping[str, str]) -> dict[str, Role]:
    """Return words for roles in lower case, with those of ``--map-role`` before the others.

    Args:
        roles: the product's words, or our own.
        chosen: words, and our words for the roles that they mean.
    """
    known = {word.lower(): role for word, role in roles.items()}
    for word, ours in chosen.items():
        known[word.lower()] = values.ROLES[ours.lower()]
    return known


def _getter(source: Source) -> Callable[[Row], Any]:
    return (lambda row: row.get(source)) if isinstance(source, str) else source
