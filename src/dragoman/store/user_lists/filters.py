"""Reach → WHERE; filters, search, ordering, offset and keyset paging of users.

The only place that compares a row's tenant with an actor's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from dragoman.rules.actor import Actor
from dragoman.rules.model import Filter, Order, Role
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query, Row, holds_all, like_pattern, within
from dragoman.store.schema import LIVING, tenants, users
from dragoman.store.user_lists import ordering

NOBODY = -1
"""A role that nobody has: what a list narrowed to no role at all asks for."""
GRAM = 3
"""Letters a word needs for the trigram index; shorter ones are looked for row by row."""
NEAR = 1000
"""So many rows are passed over at once."""
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
    roles: tuple[int, ...]  # none: all of them
    active: bool | None
    grams: int  # how many words the trigram index looks for
    words: bool  # are there others, to be looked for row by row?
    common: bool = False  # are hits so frequent that a walk in order meets them soon?
    orders: tuple[Order, ...] = ()
    after: bool = False
    among: bool = False
    limit: int = 0
    skips: bool = False


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
        roles=() if wanted.roles is None else tuple(sorted(map(int, wanted.roles))) or (NOBODY,),
        active=wanted.active,
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
        "match": " AND ".join('"' + word.replace('"', '""') + '"' for word in grams),
        "words": others,
        "every_word": list(wanted.words),
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
        found.append(users.c.role.in_([sa.literal_column(str(role)) for role in shape.roles]))
    if shape.active is not None:
        found.append(users.c.active == (sa.true() if shape.active else sa.false()))
    if shape.among:
        found.append(within(users.c.id, "among"))
    else:
        found += _search(shape, dialect)
    return found


def _search(shape: Shape, dialect: str) -> list[Any]:
    if shape.common and dialect == "sqlite":
        return [holds_all(users.c.search, "every_word")]
    found: list[Any] = [holds_all(users.c.search, "words")] if shape.words else []
    texts = sa.Text()
    if dialect == "postgresql":
        return found + [
            users.c.search.like(sa.bindparam(f"gram{i}", type_=texts)) for i in range(shape.grams)
        ]
    if shape.grams:
        found.append(sa.text("users_search MATCH :match").bindparams(_MATCH))
        found.append(users.c.id == sa.literal_column("+users_search.rowid"))  # hits come first
    return found


_MATCH = sa.bindparam("match", type_=sa.Text())
_HITS = sa.table("users_search")


def _from(shape: Shape, dialect: str) -> Any:
    """Return where a search reads its users from: on SQLite, from the hits of its index."""
    searched = shape.grams and not (shape.among or shape.common) and dialect == "sqlite"
    return [users, _HITS] if searched else [users]


def _both(build: Any, into: Any = None) -> Query[Any]:
    return Query(build("postgresql"), into, sqlite=build("sqlite"))


def _is_indexed(shape: Shape) -> bool:
    """Say whether an index gives a list in its order, whoever is seen and however narrowed."""
    in_order = len(shape.orders) == 1 and shape.orders[0].key == "username"
    return in_order and not (shape.among or shape.grams or shape.words)


def is_near(shape: Shape, offset: int) -> bool:
    """Say whether a page is a handful of rows, found in as many steps of an index."""
    return _is_indexed(shape) and offset <= NEAR


def _arms(shape: Shape) -> list[Shape]:
    """Split a list into parts that an index gives in order each: one role, one state.

    So the rarest role costs what the most frequent one costs. A list that no role or state
    narrows, that is searched, or that is ordered otherwise, is one part.
    """
    narrowed = bool(shape.roles) or shape.active is not None
    if not narrowed or not _is_indexed(shape):
        return [shape]
    roles = shape.roles or tuple(range(len(Role)))
    states = (True, False) if shape.active is None else (shape.active,)
    return [
        msgspec.structs.replace(shape, roles=(role,), active=active)
        for role in roles
        for active in states
    ]


def _page_ids(shape: Shape, dialect: str) -> Any:
    """Return the select of a page's ids, from an index alone."""
    columns = ordering.columns(shape.orders)
    labels = [column.label(f"key{i}") for i, (column, _) in enumerate(columns)]
    skip = sa.bindparam("offset", type_=sa.BigInteger())

    def cut(select: Any, keys: list[Any], *, parts: bool) -> Any:
        directions = zip(keys, columns, strict=True)
        ordered = select.order_by(*(k.desc() if c[1] else k.asc() for k, c in directions))
        limit: Any = sa.literal_column(str(shape.limit))
        if shape.skips and not parts:
            return ordered.limit(limit).offset(skip)
        return ordered.limit(limit + skip if shape.skips else limit)

    def arm(part: Shape, *, parts: bool) -> Any:
        source = _from(part, dialect)
        select = sa.select(users.c.id, *labels).select_from(*source)
        select = select.where(*_conditions(part, dialect))
        if shape.after:
            select = select.where(ordering.after(shape.orders))
        return cut(select, [column for column, _ in columns], parts=parts)

    arms = _arms(shape)
    if len(arms) == 1:
        return arm(arms[0], parts=False).subquery("page")
    together = sa.union_all(*(sa.select(arm(part, parts=True).subquery()) for part in arms))
    whole = together.subquery("parts")
    keys = [whole.c[label.name] for label in labels]
    return cut(sa.select(whole.c.id, *keys), keys, parts=False).subquery("page")


@lru_cache(maxsize=512)
def page_query(shape: Shape, columns: tuple[Any, ...], into: Any) -> Query[Any]:
    """Return the query of one page: ids first, from an index alone, and then their rows.

    Parameters beside those of ``values_of``: ``offset`` where the shape skips, ``after_key`` and
    ``after_id`` where it continues, and ``among`` where the ids were found before. The limit
    stands in the text, so that a plan made once is good for ever.
    """

    def build(dialect: str) -> Any:
        page = _page_ids(shape, dialect)
        keys = enumerate(ordering.columns(shape.orders))
        return (
            sa.select(*columns, ordering.position_column(shape.orders))
            .select_from(users.join(page, page.c.id == users.c.id).outerjoin(tenants))
            .order_by(*(page.c[f"key{i}"].desc() if c[1] else page.c[f"key{i}"] for i, c in keys))
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
            .select_from(*_from(shape, dialect))
            .where(*_conditions(shape, dialect))
            .limit(sa.bindparam("limit", type_=sa.BigInteger()))
        )

    return _both(build)


@lru_cache(maxsize=256)
def count_query(shape: Shape) -> Query[int]:
    """Return the query that counts the rows themselves (searches; the rest has counters)."""

    def build(dialect: str) -> Any:
        if (
            dialect == "sqlite"
            and shape.grams
            and shape == Shape(Reach.ANY, False, (), None, shape.grams, False)
        ):  # the index holds the living alone
            return sa.text("SELECT count(*) FROM users_search WHERE users_search MATCH :match")
        source = _from(shape, dialect)
        return sa.select(sa.func.count()).select_from(*source).where(*_conditions(shape, dialect))

    return _both(build)
