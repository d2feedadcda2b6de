"""SQL statements: written with SQLAlchemy Core, compiled once for each driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""A row as a driver returns it: values by position (asyncpg's Record, sqlite3's tuple)."""

_POSTGRES = postgresql.asyncpg.dialect()
_SQLITE = sqlite.dialect(paramstyle="qmark")


class in_list(sa.ColumnElement[bool]):  # noqa: N801 - reads like a function in a statement
    """``column IN (…)`` with the list as one parameter, so that one SQL text serves every length."""

    inherit_cache = False
    # SQLAlchemy renders a Boolean expression as ``… = 1`` on SQLite, and then no index is used.
    type: Any = NULLTYPE

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
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - identifiers are compiled, not user input


class contains_all(sa.ColumnElement[bool]):  # noqa: N801 - reads like a function in a statement
    """True where the column contains every word of a list, which is one parameter."""

    inherit_cache = False
    type: Any = NULLTYPE

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = sa.bindparam(name, type_=ARRAY(sa.Text()), unique=False)


@compiles(contains_all, "postgresql")
def _contains_all_postgresql(element: contains_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    words = compiler.process(element.parameter, **options)
    return f"NOT EXISTS (SELECT 1 FROM unnest({words}) AS w WHERE strpos({column}, w) = 0)"  # noqa: S608 - identifiers are compiled, not user input


@compiles(contains_all, "sqlite")
def _contains_all_sqlite(element: contains_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    json_param = sa.bindparam(element.parameter.key, type_=sa.Text())
    words = compiler.process(json_param, **options)
    return f"NOT EXISTS (SELECT 1 FROM json_each({words}) AS w WHERE instr({column}, w.value) = 0)"  # noqa: S608 - identifiers are compiled, not user input


class joined_words(FunctionElement[str]):  # noqa: N801 - reads like a function in a statement
    """Aggregate function: the texts of a group, joined with spaces."""

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
    """The SQL text of a statement for one driver, and the order of its parameters."""

    __slots__ = ("_constants", "_param_names", "sql")

    def __init__(self, statement: ClauseElement, dialect: Any) -> None:
        compiled = cast("Any", statement.compile(dialect=dialect))
        self.sql: str = str(compiled)
        self._param_names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants = {n: v for n, v in compiled.params.items() if v is not None}

    @property
    def param_count(self) -> int:
        """The number of parameters in the text."""
        return len(self._param_names)

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the parameters in the driver's order."""
        constants = self._constants
        if not constants:
            return [params[name] for name in self._param_names]
        return [params[name] if name in params else constants[name] for name in self._param_names]


class Query(Generic[T]):
    """A statement, compiled for both databases, and the type that its rows become.

    Args:
        statement: the SQLAlchemy statement, with named ``bindparam`` parameters.
        row_factory: converts a row; by default, the value of its first column is returned.
        sqlite: another statement for SQLite, where one text cannot serve both databases.
        indexed: the statement reads a handful of rows through an index. Outside a transaction,
            SQLite runs it in the event loop, which takes microseconds; any other statement runs
            in a thread.
        bulk: the statement looks hundreds of keys up. PostgreSQL plans it anew each time and by
            index: a plan from when the table was small would read the whole of a large one.
    """

    __slots__ = ("bulk", "indexed", "postgres", "row_factory", "sqlite")

    def __init__(
        self,
        statement: ClauseElement,
        row_factory: Callable[[Row], T] | None = None,
        *,
        sqlite: ClauseElement | None = None,
        indexed: bool = False,
        bulk: bool = False,
    ) -> None:
        self.row_factory: Callable[[Row], T] = row_factory or cast(
            "Callable[[Row], T]", _first_column
        )
        self.postgres = CompiledStatement(statement, _POSTGRES)
        self.sqlite = CompiledStatement(statement if sqlite is None else sqlite, _SQLITE)
        self.indexed = indexed
        self.bulk = bulk


class BulkInsert:
    """An INSERT of many rows of one table: COPY on PostgreSQL, statements of many rows on SQLite.

    SQLite's triggers cost far less in one statement for many rows than in one for each.

    Args:
        table: the table.
        column_names: the columns that each row has, in their order; the others get their defaults.
    """

    __slots__ = ("_batches", "_sql", "column_names", "table_name")

    def __init__(self, table: sa.TableClause, column_names: Sequence[str]) -> None:
        self.table_name = table.name
        self.column_names = tuple(column_names)
        statement = sa.insert(table).values({name: sa.bindparam(name) for name in column_names})
        self._sql = str(statement.compile(dialect=_SQLITE, column_keys=[*column_names]))
        self._batches: dict[int, str] = {}

    def sqlite_sql(self, row_count: int) -> str:
        """Return SQLite's statement for so many rows."""
        sql = self._batches.get(row_count)
        if sql is None:
            marks = f"({', '.join('?' * len(self.column_names))})"
            sql = self._batches[row_count] = self._sql + f", {marks}" * (row_count - 1)
        return sql


def _first_column(row: Row) -> Any:
    return row[0]


def bind(name: str, sql_type: Any = sa.BigInteger) -> Any:
    """Return a named parameter of an SQL type."""
    return sa.bindparam(name, type_=sql_type())


def like_pattern(word: str) -> str:
    """Return a LIKE pattern that finds the word anywhere, with its wildcards escaped."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


MAX_KEYS = 16
"""Maximum number of keys per batched lookup on SQLite, whose SQL text names each of them."""


class LookupQuery(Generic[T]):
    """A query for one row by its key, compiled for a single key and for a batch of keys.

    Its rows are pairs: the number of the key within the batch, counted from 1, and the value.

    Args:
        key_types: the SQL types of the parts of the key.
        build_select: builds the statement from ``q``, a table of keys with the columns ``n``,
            ``k0``, ``k1``…; the first column of the statement must be ``q.c.n``.
        row_factory: converts a row.

    Attributes:
        batch: reads any number of keys on PostgreSQL, ``MAX_KEYS`` on SQLite.
        single: reads one key; only used on SQLite.
    """

    __slots__ = ("_key_names", "_numbered_names", "batch", "single")

    def __init__(
        self,
        key_types: tuple[Any, ...],
        build_select: Callable[[Any], Any],
        row_factory: Callable[[Row], T],
    ) -> None:
        self._key_names = [f"k{i}" for i in range(len(key_types))]
        self._numbered_names = [
            f"{name}_{n}" for n in range(1, MAX_KEYS + 1) for name in self._key_names
        ]
        columns = [
            sa.column(name, sql_type)
            for name, sql_type in zip(self._key_names, key_types, strict=True)
        ]

        def numbered_row(row: Row) -> tuple[int, T]:
            return row[0], row_factory(row)

        self.batch = Query(
            build_select(_array_source(columns)),
            numbered_row,
            sqlite=build_select(_values_source(columns, MAX_KEYS)),
            indexed=True,
        )
        self.single = Query(build_select(_values_source(columns, 1)), numbered_row, indexed=True)

    def numbered_params(self, keys: list[tuple[Any, ...]], count: int) -> dict[str, Any]:
        """Return the SQLite parameters of ``count`` keys; those of missing keys are NULL."""
        if count == 1:
            return dict(zip(self._numbered_names, keys[0], strict=False))
        parts = [part for key in keys for part in key]
        parts += [None] * (count * len(self._key_names) - len(parts))
        return dict(zip(self._numbered_names, parts, strict=False))

    def array_params(self, keys: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Return the PostgreSQL parameters of keys: one array for each part of the key."""
        parts = zip(*keys, strict=True)
        return {name: list(part) for name, part in zip(self._key_names, parts, strict=True)}


def _array_source(columns: list[sa.ColumnClause[Any]]) -> Any:
    """Return the table of keys on PostgreSQL: one array parameter for each column."""
    arrays = [sa.bindparam(column.name, type_=ARRAY(column.type)) for column in columns]
    return (
        sa.func.unnest(*arrays)
        .table_valued(*columns, with_ordinality="n", name="q")
        .render_derived()
    )


def _values_source(columns: list[sa.ColumnClause[Any]], count: int) -> Any:
    """Return the table of keys on SQLite: one SELECT with its own parameters for each key."""
    selects = [
        sa.select(
            sa.literal_column(str(n)).label("n"),
            *(sa.bindparam(f"{c.name}_{n}", type_=c.type).label(c.name) for c in columns),
        )
        for n in range(1, count + 1)
    ]
    return sa.union_all(*selects).subquery("q")
