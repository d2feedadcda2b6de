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


class within(sa.ColumnElement[bool]):  # noqa: N801 - reads like a function in a statement
    """``column in (a list given as one parameter)``, so that one text serves every length."""

    inherit_cache = False
    type: Any = (
        NULLTYPE  # of a Boolean, SQLite would be asked whether it equals 1: past every index
    )

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = sa.bindparam(name, type_=ARRAY(column.type), unique=False)


@compiles(within, "postgresql")
def _within_postgresql(element: within, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} = ANY ({compiler.process(element.parameter, **options)})"


@compiles(within, "sqlite")
def _within_sqlite(element: within, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    plain = sa.bindparam(element.parameter.key, type_=sa.Text())
    values = compiler.process(plain, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - our own names


class holds_all(sa.ColumnElement[bool]):  # noqa: N801 - reads like a function in a statement
    """Every word of a list, given as one parameter, stands somewhere in the column."""

    inherit_cache = False
    type: Any = NULLTYPE

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = sa.bindparam(name, type_=ARRAY(sa.Text()), unique=False)


@compiles(holds_all, "postgresql")
def _holds_all_postgresql(element: holds_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    words = compiler.process(element.parameter, **options)
    return f"NOT EXISTS (SELECT 1 FROM unnest({words}) AS w WHERE strpos({column}, w) = 0)"  # noqa: S608 - our own names


@compiles(holds_all, "sqlite")
def _holds_all_sqlite(element: holds_all, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    plain = sa.bindparam(element.parameter.key, type_=sa.Text())
    words = compiler.process(plain, **options)
    return f"NOT EXISTS (SELECT 1 FROM json_each({words}) AS w WHERE instr({column}, w.value) = 0)"  # noqa: S608 - our own names


class words(FunctionElement[str]):  # noqa: N801 - reads like a function in a statement
    """The texts of a group in one, with a space between them."""

    inherit_cache = True
    type = sa.Text()
    name = "words"


@compiles(words, "postgresql")
def _words_postgresql(element: words, compiler: Any, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, ' ')"


@compiles(words, "sqlite")
def _words_sqlite(element: words, compiler: Any, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, ' ')"


class Text:
    """One driver's text of a statement and where each parameter goes."""

    __slots__ = ("_given", "_order", "sql")

    def __init__(self, statement: ClauseElement, dialect: Any) -> None:
        compiled = cast("Any", statement.compile(dialect=dialect))
        self.sql: str = str(compiled)
        self._order: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._given = {n: v for n, v in compiled.params.items() if v is not None}

    @property
    def count(self) -> int:
        """How many parameters it has."""
        return len(self._order)

    def values(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the parameters in the driver's order."""
        given = self._given
        if not given:
            return [params[name] for name in self._order]
        return [params[name] if name in params else given[name] for name in self._order]


class Query(Generic[T]):
    """A statement and what each of its rows becomes.

    Args:
        statement: the SQLAlchemy statement, with named ``bindparam``s.
        into: makes a value of a row; without it, the first column's value.
        sqlite: another statement for SQLite, where one text cannot serve both.
    """

    __slots__ = ("into", "postgres", "sqlite")

    def __init__(
        self,
        statement: ClauseElement,
        into: Callable[[Row], T] | None = None,
        *,
        sqlite: ClauseElement | None = None,
    ) -> None:
        self.into: Callable[[Row], T] = into or cast("Callable[[Row], T]", _first)
        self.postgres = Text(statement, _POSTGRES)
        self.sqlite = Text(statement if sqlite is None else sqlite, _SQLITE)


def _first(row: Row) -> Any:
    return row[0]


def bind(name: str, kind: Any = sa.BigInteger) -> Any:
    """A named parameter of a type."""
    return sa.bindparam(name, type_=kind())


def like_pattern(word: str) -> str:
    """Return a LIKE pattern that finds the word anywhere, its own wildcards taken literally."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


TOGETHER = 16
"""So many keys travel in one statement on SQLite, whose text names each of them."""


class PointRead(Generic[T]):
    """A read of one thing by its key, in two forms: for one key, and for many at once.

    ``query`` reads many; ``alone`` reads one, where SQLite has nobody else waiting.

    Args:
        types: the SQL types of the key's parts.
        build: makes the statement from ``q``, a row source with the columns ``n``, ``k0``, ``k1``…;
            its first column must be ``q.c.n``.
        into: makes the value of a row.
    """

    __slots__ = ("_names", "_numbered", "alone", "query")

    def __init__(
        self,
        types: tuple[Any, ...],
        build: Callable[[Any], Any],
        into: Callable[[Row], T],
    ) -> None:
        self._names = names = [f"k{i}" for i in range(len(types))]
        self._numbered = [f"{name}_{n}" for n in range(1, TOGETHER + 1) for name in names]
        arrays = [
            sa.bindparam(name, type_=ARRAY(kind)) for name, kind in zip(names, types, strict=True)
        ]
        columns = [sa.column(name, kind) for name, kind in zip(names, types, strict=True)]
        many = (
            sa.func.unnest(*arrays)
            .table_valued(*columns, with_ordinality="n", name="q")
            .render_derived()
        )

        def rows(count: int) -> Any:
            each = [
                sa.select(
                    sa.literal_column(str(n)).label("n"),
                    *(sa.bindparam(f"{c.name}_{n}", type_=c.type).label(c.name) for c in columns),
                )
                for n in range(1, count + 1)
            ]
            return sa.union_all(*each).subquery("q")

        def load(row: Row) -> tuple[int, T]:
            return row[0], into(row)

        self.query = Query(build(many), load, sqlite=build(rows(TOGETHER)))
        self.alone = Query(build(rows(1)), load)

    def named(self, keys: list[tuple[Any, ...]], count: int) -> dict[str, Any]:
        """Return the parts of ``count`` keys under their names on SQLite; NULL for those missing."""
        parts = [part for key in keys for part in key]
        parts += [None] * (count * len(self._names) - len(parts))
        return dict(zip(self._numbered, parts, strict=False))

    def columns(self, keys: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Return the parts of keys as lists under their names on PostgreSQL."""
        parts = zip(*keys, strict=True)
        return {name: list(part) for name, part in zip(self._names, parts, strict=True)}
