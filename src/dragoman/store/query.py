"""SQL written with SQLAlchemy Core, compiled once to the own text of each driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NULLTYPE

T = TypeVar("T")

Row = Any
"""What a driver returns: values by position (asyncpg's Record, sqlite3's tuple)."""

_POSTGRES = postgresql.asyncpg.dialect()
_SQLITE = sqlite.dialect(paramstyle="qmark")


class in_list(sa.ColumnElement[bool]):
    """``column in (a list given as one parameter)``, so that one text serves every length."""

    inherit_cache = False
    type: Any = (
        NULLTYPE  # of a Boolean, SQLite would be asked whether it equals 1: past every index
    )

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = sa.bindparam(name, type_=ARRAY(column.type), unique=False)


@compiles(in_list, "postgresql")
def _in_list_postgresql(element: in_list, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} = ANY ({compiler.process(element.parameter, **options)})"


@compiles(in_list, "sqlite")
def _in_list_sqlite(element: in_list, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    json_param = sa.bindparam(element.parameter.key, type_=sa.Text())
    values = compiler.process(json_param, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"


class contains_all(sa.ColumnElement[bool]):
    """Every word of a list, given as one parameter, stands somewhere in the column."""

    inherit_cache = False
    type: Any = NULLTYPE

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = sa.bindparam(name, type_=ARRAY(sa.Text()), unique=False)


@compiles(contains_all, "postgresql")
def _contains_all_postgresql(element: contains_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    words = compiler.process(element.parameter, **options)
    return f"NOT EXISTS (SELECT 1 FROM unnest({words}) AS w WHERE strpos({column}, w) = 0)"


@compiles(contains_all, "sqlite")
def _contains_all_sqlite(element: contains_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    json_param = sa.bindparam(element.parameter.key, type_=sa.Text())
    words = compiler.process(json_param, **options)
    return f"NOT EXISTS (SELECT 1 FROM json_each({words}) AS w WHERE instr({column}, w.value) = 0)"


class joined_words(FunctionElement[str]):
    """The texts of a group in one, with a space between them."""

    inherit_cache = True
    type = sa.Text()
    name = "words"


@compiles(joined_words, "postgresql")
def _joined_words_postgresql(element: joined_words, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, ' ')"


@compiles(joined_words, "sqlite")
def _joined_words_sqlite(element: joined_words, compiler: Any, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, ' ')"


class CompiledStatement:
    """One driver's text of a statement and where each parameter goes."""

    __slots__ = ("_constants", "_param_names", "sql")

    def __init__(self, statement: ClauseElement, dialect: Any) -> None:
        compiled = cast("Any", statement.compile(dialect=dialect))
        self.sql: str = str(compiled)
        self._param_names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants = {n: v for n, v in compiled.params.items() if v is not None}

    @property
    def param_count(self) -> int:
        """How many parameters it has."""
        return len(self._param_names)

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the parameters in the driver's order."""
        constants = self._constants
        if not constants:
            return [params[name] for name in self._param_names]
        return [params[name] if name in params else constants[name] for name in self._param_names]


class Query(Generic[T]):
    """A statement and what each of its rows becomes.

    Args:
        statement: the SQLAlchemy statement, with named ``bindparam``s.
        into: makes a value of a row; without it, the first column's value.
        sqlite: another statement for SQLite, where one text cannot serve both.
    """

    __slots__ = ("postgres", "row_factory", "sqlite")

    def __init__(
        self,
        statement: ClauseElement,
        row_factory: Callable[[Row], T] | None = None,
        *,
        sqlite: ClauseElement | None = None,
    ) -> None:
        self.row_factory: Callable[[Row], T] = row_factory or cast(
            "Callable[[Row], T]", _first_column
        )
        self.postgres = CompiledStatement(statement, _POSTGRES)
        self.sqlite = CompiledStatement(statement if sqlite is None else sqlite, _SQLITE)


def _first_column(row: Row) -> Any:
    return row[0]


def bind(name: str, sql_type: Any = sa.BigInteger) -> Any:
    """A named parameter of a type."""
    return sa.bindparam(name, type_=sql_type())


def like_pattern(word: str) -> str:
    """Return a LIKE pattern that finds the word anywhere, its own wildcards taken literally."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


MAX_KEYS = 16
"""So many keys travel in one statement on SQLite, whose text names each of them."""


class LookupQuery(Generic[T]):
    """A read of one thing by its key, in two forms: for one key, and for many at once.

    ``query`` reads many; ``alone`` reads one, where SQLite has nobody else waiting.

    Args:
        types: the SQL types of the key's parts.
        build: makes the statement from ``q``, a row source with the columns ``n``, ``k0``, ``k1``…;
            its first column must be ``q.c.n``.
        into: makes the value of a row.
    """

    __slots__ = ("_key_names", "_numbered_names", "batch", "single")

    def __init__(
        self,
        key_types: tuple[Any, ...],
        build_select: Callable[[Any], Any],
        row_factory: Callable[[Row], T],
    ) -> None:
        self._key_names = key_names = [f"k{i}" for i in range(len(key_types))]
        self._numbered_names = [f"{name}_{n}" for n in range(1, MAX_KEYS + 1) for name in key_names]
        arrays = [
            sa.bindparam(name, type_=ARRAY(kind))
            for name, kind in zip(key_names, key_types, strict=True)
        ]
        columns = [sa.column(name, kind) for name, kind in zip(key_names, key_types, strict=True)]
        array_source = (
            sa.func.unnest(*arrays)
            .table_valued(*columns, with_ordinality="n", name="q")
            .render_derived()
        )

        def values_source(count: int) -> Any:
            selects = [
                sa.select(
                    sa.literal_column(str(n)).label("n"),
                    *(sa.bindparam(f"{c.name}_{n}", type_=c.type).label(c.name) for c in columns),
                )
                for n in range(1, count + 1)
            ]
            return sa.union_all(*selects).subquery("q")

        def numbered_row(row: Row) -> tuple[int, T]:
            return row[0], row_factory(row)

        self.batch = Query(
            build_select(array_source), numbered_row, sqlite=build_select(values_source(MAX_KEYS))
        )
        self.single = Query(build_select(values_source(1)), numbered_row)

    def numbered_params(self, keys: list[tuple[Any, ...]], count: int) -> dict[str, Any]:
        """Return the parts of ``count`` keys under their names on SQLite; NULL for those missing."""
        parts = [part for key in keys for part in key]
        parts += [None] * (count * len(self._key_names) - len(parts))
        return dict(zip(self._numbered_names, parts, strict=False))

    def array_params(self, keys: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Return the parts of keys as lists under their names on PostgreSQL."""
        parts = zip(*keys, strict=True)
        return {name: list(part) for name, part in zip(self._key_names, parts, strict=True)}
