"""Reach → WHERE; filters, search, ordering, offset and keyset paging of users.

The only place that compares a row's tenant with an actor's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.model import Actor, Filter, Order
from dragoman.rules.policy import Reach
from dragoman.store.query import Query, Row, holds_all, like_pattern, within
from dragoman.store.schema import tenants, users

LIVING = users.c.deleted_at.is_(None)
GRAM = 3
"""Letters a word needs for the trigram index; shorter ones are looked for row by row."""
INDEXED = 8
"""So many words, the longest, go to the index; any number of others to its candidates."""


class Scope(msgspec.Struct, frozen=True):
    """Whose users somebody sees, and from where."""

    reach: Reach
    tenant_id: int | None
    user_id: int


class Shape(msgspec.Struct, frozen=True):
    """What decides a list's SQL text; everything else of it is a parameter."""

    reach: Reach
    tenant: bool
    roles: bool
    active: bool
    grams: int  # how many words the trigram index looks for
    words: bool  # are there others, to be looked for row by row?
    orders: tuple[Order, ...] = ()
    after: bool = False
    among: bool = False


def scope_of(actor: Actor, reach: Reach) -> Scope:
    """Return the scope of a cell of the policy for this actor."""
    return Scope(reach, actor.tenant_id, actor.user_id)


def _split(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the words for the index, and the others."""
    ordered = sorted(words, key=len, reverse=True)
    grams = [word for word in ordered[:INDEXED] if len(word) >= GRAM]
    return grams, ordered[len(grams) :]


def shape_of(scope: Scope, wanted: Filter, orders: tuple[Order, ...] = ()) -> Shape:
    """Return the shape of a list."""
    grams, others = _split(wanted.words)
    return Shape(
        reach=scope.reach,
        tenant=wanted.tenant_id is not None,
        roles=wanted.roles is not None,
        active=wanted.active is not None,
        grams=len(grams),
        words=bool(others),
        orders=orders,
    )


def values_of(scope: Scope, wanted: Filter) -> dict[str, Any]:
    """Return the parameters of a list's conditions."""
    grams, others = _split(wanted.words)
    values: dict[str, Any] = {
        "own_tenant": scope.tenant_id,
        "own_id": scope.user_id,
        "tenant": wanted.tenant_id,
        "roles": sorted(int(role) for role in wanted.roles or ()),
        "active": wanted.active,
        "match": " AND ".join('"' + word.replace('"', '""') + '"' for word in grams),
        "words": others,
    }
    values.update((f"gram{i}", like_pattern(word)) for i, word in enumerate(grams))
    return values


def _conditions(shape: Shape, dialect: str) -> list[Any]:
    found: list[Any] = [LIVING]
    if shape.reach is Reach.TENANT:
        found.append(users.c.tenant_id == sa.bindparam("own_tenant", type_=sa.BigInteger()))
    elif shape.reach is Reach.SELF:
        found.append(users.c.id == sa.bindparam("own_id", type_=sa.BigInteger()))
    elif shape.reach is Reach.NONE:
        found.append(sa.false())
    if shape.tenant:
        found.append(users.c.tenant_id == sa.bindparam("tenant", type_=sa.BigInteger()))
    if shape.roles:
        found.append(within(users.c.role, "roles"))
    if shape.active:
        found.append(users.c.active == sa.bindparam("active", type_=sa.Boolean()))
    if shape.among:
        found.append(within(users.c.id, "among"))
    else:
        found += _search(shape, dialect)
    return found


def _search(shape: Shape, dialect: str) -> list[Any]:
    found: list[Any] = [holds_all(users.c.search, "words")] if shape.words else []
    texts = sa.Text()
    if dialect == "postgresql":
        return found + [
            users.c.search.like(sa.bindparam(f"gram{i}", type_=texts)) for i in range(shape.grams)
        ]
    if shape.grams:
        hits = sa.text("SELECT rowid FROM users_search WHERE users_search MATCH :match")
        hits = hits.bindparams(sa.bindparam("match", type_=texts))
        found.append(users.c.id.in_(hits.columns(sa.column("rowid"))))
    return found


KEYS: dict[str, Any] = {
    "id": users.c.id,
    "username": users.c.username_key,
    "email": users.c.email_key,
    "first_name": users.c.first_name,
    "last_name": users.c.last_name,
    "role": users.c.role,
    "created_at": users.c.created_at,
    "last_login_at": users.c.last_login_at,
    "active": users.c.active,
}
UNIQUE = frozenset({"id", "username"})
"""Orders that need no second key."""


def _columns(orders: tuple[Order, ...]) -> list[tuple[Any, bool]]:
    columns: list[tuple[Any, bool]] = []
    for order in orders:
        column = KEYS[order.key]
        if order.ranks:
            column = sa.case(dict(enumerate(order.ranks)), value=users.c.role)
        columns.append((column, order.descending))
        if order.key in UNIQUE:
            return columns
    columns.append((users.c.id, bool(orders) and orders[-1].descending))
    return columns


def continues(orders: tuple[Order, ...]) -> bool:
    """Say whether a list in this order can be continued from a position (one plain key)."""
    return len(orders) == 1 and not orders[0].ranks


def _after(orders: tuple[Order, ...]) -> Any:
    order = orders[0]
    column = KEYS[order.key]
    edge = sa.bindparam("after_key", type_=column.type)
    if order.key in UNIQUE:
        return column < edge if order.descending else column > edge
    here = sa.tuple_(column, users.c.id)
    there = sa.tuple_(edge, sa.bindparam("after_id", type_=sa.BigInteger()))
    return here < there if order.descending else here > there


def position_column(orders: tuple[Order, ...]) -> Any:
    """Return the column whose value in the last row is the position to continue from."""
    return KEYS[orders[0].key] if continues(orders) else sa.null()


def _both(build: Any, into: Any = None) -> Query[Any]:
    return Query(build("postgresql"), into, sqlite=build("sqlite"))


@lru_cache(maxsize=512)
def page_query(shape: Shape, columns: tuple[Any, ...], into: Any) -> Query[Any]:
    """Return the query of one page: ids first, from an index alone, and then their rows.

    Parameters beside those of ``values_of``: ``limit``, ``offset``, or ``after_key`` and
    ``after_id``, and ``among`` where the ids were found before.
    """
    ordering = [
        column.desc() if descending else column.asc()
        for column, descending in _columns(shape.orders)
    ]

    def build(dialect: str) -> Any:
        ids = sa.select(users.c.id).where(*_conditions(shape, dialect)).order_by(*ordering)
        if shape.after:
            ids = ids.where(_after(shape.orders))
        else:
            ids = ids.offset(sa.bindparam("offset", type_=sa.BigInteger()))
        page = ids.limit(sa.bindparam("limit", type_=sa.BigInteger())).subquery("page")
        return (
            sa.select(*columns, position_column(shape.orders))
            .select_from(users.join(page, page.c.id == users.c.id).outerjoin(tenants))
            .order_by(*ordering)
        )

    def load(row: Row) -> tuple[Any, Any]:
        return into(row), row[len(columns)]

    return _both(build, load)


@lru_cache(maxsize=256)
def ids_query(shape: Shape) -> Query[int]:
    """Return the query of the ids alone, at most ``limit``, in no order."""

    def build(dialect: str) -> Any:
        return (
            sa.select(users.c.id)
            .where(*_conditions(shape, dialect))
            .limit(sa.bindparam("limit", type_=sa.BigInteger()))
        )

    return _both(build)


@lru_cache(maxsize=256)
def count_query(shape: Shape) -> Query[int]:
    """Return the query that counts the rows themselves (searches; the rest has counters)."""

    def build(dialect: str) -> Any:
        return sa.select(sa.func.count()).select_from(users).where(*_conditions(shape, dialect))

    return _both(build)
