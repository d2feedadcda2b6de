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
from dragoman.store.query import Query, Row, contains_all, in_list, like_pattern
from dragoman.store.schema import LIVING, tenants, users
from dragoman.store.user_lists import ordering

NO_ROLE = -1
"""A role that nobody has: what a list narrowed to no role at all asks for."""
TRIGRAM_LENGTH = 3
"""Letters a word needs for the trigram index; shorter ones are looked for row by row."""
SHALLOW_OFFSET = 1000
"""So many rows are passed over at once."""
MAX_INDEXED_WORDS = 8
"""So many words, the longest, go to the index; any number of others to its candidates."""


class Scope(msgspec.Struct, frozen=True):
    """Whose users somebody sees, and from where."""

    reach: Reach
    tenant_id: int | None
    user_id: int


class ListShape(msgspec.Struct, frozen=True):
    """What decides a list's SQL text; everything else of it is a parameter."""

    reach: Reach
    has_tenant: bool
    roles: tuple[int, ...]  # none: all of them
    active: bool | None
    indexed_words: int  # how many words the trigram index looks for
    has_unindexed_words: bool  # are there others, to be looked for row by row?
    many_hits: bool = False  # are hits so frequent that a walk in order meets them soon?
    orders: tuple[Order, ...] = ()
    has_cursor: bool = False
    by_ids: bool = False
    limit: int = 0
    has_offset: bool = False


def scope_for(actor: Actor, reach: Reach) -> Scope:
    """Return the scope of a cell of the policy for this actor."""
    return Scope(reach, actor.tenant_id, actor.user_id)


def _split_words(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the words for the index, and the others."""
    longest_first = sorted(words, key=len, reverse=True)
    indexed_words = [
        word for word in longest_first[:MAX_INDEXED_WORDS] if len(word) >= TRIGRAM_LENGTH
    ]
    return indexed_words, longest_first[len(indexed_words) :]


def list_shape(scope: Scope, user_filter: Filter, orders: tuple[Order, ...] = ()) -> ListShape:
    """Return the shape of a list."""
    indexed_words, unindexed_words = _split_words(user_filter.words)
    return ListShape(
        reach=scope.reach,
        has_tenant=user_filter.tenant_id is not None,
        roles=()
        if user_filter.roles is None
        else tuple(sorted(map(int, user_filter.roles))) or (NO_ROLE,),
        active=user_filter.active,
        indexed_words=len(indexed_words),
        has_unindexed_words=bool(unindexed_words),
        orders=orders,
    )


def list_params(scope: Scope, user_filter: Filter) -> dict[str, Any]:
    """Return the parameters of a list's conditions."""
    indexed_words, unindexed_words = _split_words(user_filter.words)
    params: dict[str, Any] = {
        "own_tenant": scope.tenant_id,
        "own_id": scope.user_id,
        "tenant": user_filter.tenant_id,
        "match": " AND ".join('"' + word.replace('"', '""') + '"' for word in indexed_words),
        "words": unindexed_words,
        "every_word": list(user_filter.words),
    }
    params.update((f"gram{i}", like_pattern(word)) for i, word in enumerate(indexed_words))
    return params


def _conditions(shape: ListShape, sql_dialect: str) -> list[Any]:
    conditions: list[Any] = [LIVING]
    if shape.reach is Reach.TENANT:
        conditions.append(users.c.tenant_id == sa.bindparam("own_tenant", type_=sa.BigInteger()))
    elif shape.reach is Reach.SELF:
        conditions.append(users.c.id == sa.bindparam("own_id", type_=sa.BigInteger()))
    elif shape.reach is Reach.NONE:
        conditions.append(sa.false())
    if shape.has_tenant:
        conditions.append(users.c.tenant_id == sa.bindparam("tenant", type_=sa.BigInteger()))
    if shape.roles:
        conditions.append(users.c.role.in_([sa.literal_column(str(role)) for role in shape.roles]))
    if shape.active is not None:
        conditions.append(users.c.active == (sa.true() if shape.active else sa.false()))
    if shape.by_ids:
        conditions.append(in_list(users.c.id, "among"))
    else:
        conditions += _search_conditions(shape, sql_dialect)
    return conditions


def _search_conditions(shape: ListShape, sql_dialect: str) -> list[Any]:
    if shape.many_hits and sql_dialect == "sqlite":
        return [contains_all(users.c.search, "every_word")]
    conditions: list[Any] = (
        [contains_all(users.c.search, "words")] if shape.has_unindexed_words else []
    )
    text_type = sa.Text()
    if sql_dialect == "postgresql":
        return conditions + [
            users.c.search.like(sa.bindparam(f"gram{i}", type_=text_type))
            for i in range(shape.indexed_words)
        ]
    if shape.indexed_words:
        conditions.append(sa.text("users_search MATCH :match").bindparams(_MATCH_PARAM))
        conditions.append(users.c.id == sa.literal_column("+users_search.rowid"))  # hits come first
    return conditions


_MATCH_PARAM = sa.bindparam("match", type_=sa.Text())
_SEARCH_TABLE = sa.table("users_search")


def _from_tables(shape: ListShape, sql_dialect: str) -> Any:
    """Return where a search reads its users from: on SQLite, from the hits of its index."""
    uses_search_table = (
        shape.indexed_words and not (shape.by_ids or shape.many_hits) and sql_dialect == "sqlite"
    )
    return [users, _SEARCH_TABLE] if uses_search_table else [users]


def _query_for_drivers(build_select: Any, row_factory: Any = None) -> Query[Any]:
    return Query(build_select("postgresql"), row_factory, sqlite=build_select("sqlite"))


def _is_index_ordered(shape: ListShape) -> bool:
    """Say whether an index gives a list in its order, whoever is seen and however narrowed."""
    in_order = len(shape.orders) == 1 and shape.orders[0].key == "username"
    return in_order and not (shape.by_ids or shape.indexed_words or shape.has_unindexed_words)


def is_shallow(shape: ListShape, offset: int) -> bool:
    """Say whether a page is a handful of rows, found in as many steps of an index."""
    return _is_index_ordered(shape) and offset <= SHALLOW_OFFSET


def _index_ordered_parts(shape: ListShape) -> list[ListShape]:
    """Split a list into parts that an index gives in order each: one role, one state.

    So the rarest role costs what the most frequent one costs. A list that no role or state
    narrows, that is searched, or that is ordered otherwise, is one part.
    """
    is_filtered = bool(shape.roles) or shape.active is not None
    if not is_filtered or not _is_index_ordered(shape):
        return [shape]
    roles = shape.roles or tuple(range(len(Role)))
    states = (True, False) if shape.active is None else (shape.active,)
    return [
        msgspec.structs.replace(shape, roles=(role,), active=active)
        for role in roles
        for active in states
    ]


def _page_ids(shape: ListShape, sql_dialect: str) -> Any:
    """Return the select of a page's ids, from an index alone."""
    sort_keys = ordering.sort_keys(shape.orders)
    labels = [column.label(f"key{i}") for i, (column, _) in enumerate(sort_keys)]
    offset = sa.bindparam("offset", type_=sa.BigInteger())

    def order_and_limit(select: Any, keys: list[Any], *, is_part: bool) -> Any:
        directions = zip(keys, sort_keys, strict=True)
        ordered = select.order_by(*(k.desc() if c[1] else k.asc() for k, c in directions))
        limit: Any = sa.literal_column(str(shape.limit))
        if shape.has_offset and not is_part:
            return ordered.limit(limit).offset(offset)
        return ordered.limit(limit + offset if shape.has_offset else limit)

    def select_part(part: ListShape, *, is_part: bool) -> Any:
        source = _from_tables(part, sql_dialect)
        select = sa.select(users.c.id, *labels).select_from(*source)
        select = select.where(*_conditions(part, sql_dialect))
        if shape.has_cursor:
            select = select.where(ordering.after_cursor(shape.orders))
        return order_and_limit(select, [column for column, _ in sort_keys], is_part=is_part)

    parts = _index_ordered_parts(shape)
    if len(parts) == 1:
        return select_part(parts[0], is_part=False).subquery("page")
    union = sa.union_all(*(sa.select(select_part(part, is_part=True).subquery()) for part in parts))
    merged = union.subquery("parts")
    keys = [merged.c[label.name] for label in labels]
    return order_and_limit(sa.select(merged.c.id, *keys), keys, is_part=False).subquery("page")


@lru_cache(maxsize=512)
def page_query(shape: ListShape, columns: tuple[Any, ...], row_factory: Any) -> Query[Any]:
    """Return the query of one page: ids first, from an index alone, and then their rows.

    Parameters beside those of ``values_of``: ``offset`` where the shape skips, ``after_key`` and
    ``after_id`` where it continues, and ``among`` where the ids were found before. The limit
    stands in the text, so that a plan made once is good for ever.
    """

    def build_select(sql_dialect: str) -> Any:
        page = _page_ids(shape, sql_dialect)
        keys = enumerate(ordering.sort_keys(shape.orders))
        return (
            sa.select(*columns, ordering.cursor_column(shape.orders))
            .select_from(users.join(page, page.c.id == users.c.id).outerjoin(tenants))
            .order_by(*(page.c[f"key{i}"].desc() if c[1] else page.c[f"key{i}"] for i, c in keys))
        )

    def keyed_row(row: Row) -> tuple[Any, Any]:
        return row_factory(row), row[len(columns)]

    return _query_for_drivers(build_select, keyed_row)


@lru_cache(maxsize=256)
def ids_query(shape: ListShape) -> Query[int]:
    """Return the query of the ids alone, at most ``limit``, in no order."""

    def build_select(sql_dialect: str) -> Any:
        return (
            sa.select(users.c.id)
            .select_from(*_from_tables(shape, sql_dialect))
            .where(*_conditions(shape, sql_dialect))
            .limit(sa.bindparam("limit", type_=sa.BigInteger()))
        )

    return _query_for_drivers(build_select)


@lru_cache(maxsize=256)
def count_query(shape: ListShape) -> Query[int]:
    """Return the query that counts the rows themselves (searches; the rest has counters)."""

    def build_select(sql_dialect: str) -> Any:
        if (
            sql_dialect == "sqlite"
            and shape.indexed_words
            and shape == ListShape(Reach.ANY, False, (), None, shape.indexed_words, False)
        ):  # the index holds the living alone
            return sa.text("SELECT count(*) FROM users_search WHERE users_search MATCH :match")
        source = _from_tables(shape, sql_dialect)
        return (
            sa.select(sa.func.count()).select_from(*source).where(*_conditions(shape, sql_dialect))
        )

    return _query_for_drivers(build_select)
