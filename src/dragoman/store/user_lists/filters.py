"""Filters of user lists: a scope, filters and search words become the SELECT of one page.

This is the only module that compares a user's tenant with an actor's.

The most frequent list, the users of the actor's own tenant by username, is compiled to this on
PostgreSQL:

    SELECT users.id, users.public_id, users.tenant_id, tenants.name, users.username, users.email,
      users.first_name, users.last_name, users.display_name, users.phone, users.bio, users.url,
      users.company, users.location, users.auth_epoch, users.created_at, users.updated_at,
      users.last_login_at,
      (((((users.role * 2 + CAST(users.active AS INTEGER))
      * 2 + CAST(users.verified AS INTEGER)) * 2 + CAST(users.approved AS INTEGER))
      * 2 + CAST(users.signed_up AS INTEGER)) * 2 + CAST(users.email_assigned AS INTEGER))
      * 3 + coalesce(CAST(users.strong_password AS INTEGER), 2) AS anon_1, users.username_sort
    FROM users JOIN (
      SELECT users.id AS id, users.username_sort AS key0, users.id AS key1
      FROM users
      WHERE users.deleted_at IS NULL AND users.tenant_id = $1::BIGINT
      ORDER BY users.username_sort ASC, users.id ASC
      LIMIT 20
    ) AS page ON page.id = users.id
    LEFT OUTER JOIN tenants ON tenants.id = users.tenant_id
    ORDER BY page.key0 ASC, page.key1 ASC

and to this on SQLite:

    SELECT users.id, users.public_id, users.tenant_id, tenants.name, users.username, users.email,
      users.first_name, users.last_name, users.display_name, users.phone, users.bio, users.url,
      users.company, users.location, users.auth_epoch, users.created_at, users.updated_at,
      users.last_login_at,
      (((((users.role * 2 + CAST(users.active AS INTEGER))
      * 2 + CAST(users.verified AS INTEGER)) * 2 + CAST(users.approved AS INTEGER))
      * 2 + CAST(users.signed_up AS INTEGER)) * 2 + CAST(users.email_assigned AS INTEGER))
      * 3 + coalesce(CAST(users.strong_password AS INTEGER), 2) AS anon_1, users.username_sort
    FROM users JOIN (
      SELECT users.id AS id, users.username_sort AS key0, users.id AS key1
      FROM users
      WHERE users.deleted_at IS NULL AND users.tenant_id = ?
      ORDER BY users.username_sort ASC, users.id ASC
      LIMIT 20 OFFSET ?
    ) AS page ON page.id = users.id
    LEFT OUTER JOIN tenants ON tenants.id = users.tenant_id
    ORDER BY page.key0 ASC, page.key1 ASC

The ids come first, from an index alone; only the rows of the page are read from the table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from dragoman.rules.actor import Actor
from dragoman.rules.model import Filter, Order, Role, User
from dragoman.rules.vocabulary import Reach
from dragoman.store.query import Query, Row, contains_all, in_list, like_pattern
from dragoman.store.schema import LIVING, tenants, users
from dragoman.store.user_columns import COLUMNS, from_row
from dragoman.store.user_lists import ordering

T = TypeVar("T")

NO_ROLE = -1
"""Stands for an empty set of roles in a filter: no user has this role."""
TRIGRAM_LENGTH = 3
"""Minimum length of a word that the trigram index can find; shorter words need a scan."""
SHALLOW_OFFSET = 1000
"""Maximum number of rows that a page may skip and still be read in the event loop (SQLite)."""
MAX_INDEXED_WORDS = 8
"""Maximum number of words that are looked up in the trigram index; the longest are chosen.

Its hits are then checked for the other words.
"""


_HAS_EMAIL = users.c.email_key != sa.literal_column("''")
_NO_PASSWORD = users.c.password_hash == sa.literal_column("''")
# SQLAlchemy renders ``approved = 1`` on SQLite, which then ignores the partial index.
_APPROVED: Any = sa.literal_column("users.approved")
FLAG_CONDITIONS: dict[str, tuple[Any, Any]] = {
    "approved": (sa.not_(users.c.approved), _APPROVED),
    "proven": (sa.and_(_HAS_EMAIL, sa.not_(users.c.verified)), users.c.verified),
    "signed_up": (sa.not_(users.c.signed_up), users.c.signed_up),
    "has_password": (_NO_PASSWORD, sa.not_(_NO_PASSWORD)),
}
"""The conditions of the flags of ``Filter``: where the flag is False, and where it is True."""


class Scope(msgspec.Struct, frozen=True):
    """Which users an actor may see: the reach, the actor's tenant and id, and its contract's flag.

    ``approved_only`` leaves out users who are not approved (``Restrictions.approved_only``).
    """

    reach: Reach
    tenant_id: int | None
    user_id: int
    approved_only: bool = False


class ListShape(msgspec.Struct, frozen=True):
    """Everything that determines the SQL text of a list; the rest are parameters.

    Attributes:
        reach: the reach of the scope.
        has_tenant: whether the list is filtered by tenant.
        roles: the roles to show; empty for all of them.
        active: the state to show; None for both.
        indexed_words: the number of search words that are looked up in the trigram index.
        has_unindexed_words: whether there are other search words.
        flags: names of ``FLAG_CONDITIONS``, each with the value to show.
        many_hits: whether a search has so many hits that walking the index of the order finds a
            page of them sooner than sorting them does.
        orders: the sort keys.
        has_cursor: whether the page continues after a cursor.
        by_ids: whether the ids of the matching users are known already.
        limit: the maximum number of rows.
        has_offset: whether rows are skipped.
    """

    reach: Reach
    has_tenant: bool
    roles: tuple[int, ...]
    active: bool | None
    indexed_words: int
    has_unindexed_words: bool
    flags: tuple[tuple[str, bool], ...] = ()
    many_hits: bool = False
    orders: tuple[Order, ...] = ()
    has_cursor: bool = False
    by_ids: bool = False
    limit: int = 0
    has_offset: bool = False


def scope_for(actor: Actor, reach: Reach) -> Scope:
    """Return the scope of an actor with this reach."""
    return Scope(reach, actor.tenant_id, actor.user_id, actor.restrictions.approved_only)


def _split_words(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the words to look up in the trigram index, and the others."""
    if not words:
        return [], []
    longest_first = sorted(words, key=len, reverse=True)
    indexed_words = [
        word for word in longest_first[:MAX_INDEXED_WORDS] if len(word) >= TRIGRAM_LENGTH
    ]
    return indexed_words, longest_first[len(indexed_words) :]


def list_shape(scope: Scope, user_filter: Filter, orders: tuple[Order, ...] = ()) -> ListShape:
    """Return the shape of a list."""
    indexed_words, unindexed_words = _split_words(user_filter.words)
    roles: tuple[int, ...] = ()
    if user_filter.roles is not None:
        roles = tuple(sorted(map(int, user_filter.roles))) or (NO_ROLE,)
    return ListShape(
        reach=scope.reach,
        has_tenant=user_filter.tenant_id is not None,
        roles=roles,
        active=user_filter.active,
        indexed_words=len(indexed_words),
        has_unindexed_words=bool(unindexed_words),
        flags=_flags(scope, user_filter),
        orders=orders,
    )


def _flags(scope: Scope, user_filter: Filter) -> tuple[tuple[str, bool], ...]:
    if user_filter.is_versioned and user_filter.approved is None and not scope.approved_only:
        return ()
    values = {name: getattr(user_filter, name) for name in FLAG_CONDITIONS}
    if scope.approved_only:
        values["approved"] = True
    return tuple((name, value) for name, value in values.items() if value is not None)


def by_ids(shape: ListShape) -> ListShape:
    """Return the shape of a search whose hits are known: the parameter ``among`` has their ids."""
    return msgspec.structs.replace(shape, by_ids=True, indexed_words=0, has_unindexed_words=False)


def list_params(scope: Scope, user_filter: Filter) -> dict[str, Any]:
    """Return the parameters of the conditions of a list."""
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
    conditions += [FLAG_CONDITIONS[name][value] for name, value in shape.flags]
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
        # The plus sign keeps SQLite from walking the users and probing the trigram index for each.
        conditions.append(users.c.id == sa.literal_column("+users_search.rowid"))
    return conditions


_MATCH_PARAM = sa.bindparam("match", type_=sa.Text())
_SEARCH_TABLE = sa.table("users_search")


def _from_tables(shape: ListShape, sql_dialect: str) -> Any:
    """Return the tables of a list; on SQLite, a search joins its trigram index."""
    uses_search_table = (
        shape.indexed_words and not (shape.by_ids or shape.many_hits) and sql_dialect == "sqlite"
    )
    return [users, _SEARCH_TABLE] if uses_search_table else [users]


def _is_index_ordered(shape: ListShape) -> bool:
    """Return whether an index yields the list in its order, whatever its scope and filters."""
    in_order = len(shape.orders) == 1 and shape.orders[0].key == "username"
    return in_order and not (shape.by_ids or shape.indexed_words or shape.has_unindexed_words)


def is_shallow(shape: ListShape, offset: int) -> bool:
    """Return whether a page takes only a few steps of an index."""
    return _is_index_ordered(shape) and not shape.flags and offset <= SHALLOW_OFFSET


def _index_ordered_parts(shape: ListShape) -> list[ListShape]:
    """Split a list into parts of one role and one state, each of which an index yields in order.

    Merging them makes a rare role as cheap as a frequent one. A list without a filter on role or
    state, a search, and a list in another order are a single part.
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


def _ordered(select: Any, shape: ListShape, keys: list[Any]) -> Any:
    """Add the ORDER BY clause to a select that has the sort keys as columns ``keys``."""
    directions = [descending for _, descending in ordering.sort_keys(shape.orders)]
    return select.order_by(
        *(key.desc() if desc else key.asc() for key, desc in zip(keys, directions, strict=True))
    )


def _limited(select: Any, shape: ListShape, *, is_part: bool) -> Any:
    """Add LIMIT and OFFSET; a part of a list yields the rows to be skipped as well."""
    limit: Any = sa.literal_column(str(shape.limit))
    if not shape.has_offset:
        return select.limit(limit)
    offset = sa.bindparam("offset", type_=sa.BigInteger())
    return select.limit(limit + offset) if is_part else select.limit(limit).offset(offset)


def _part_ids(part: ListShape, sql_dialect: str, *, is_part: bool) -> Any:
    """Return the select of the ids and sort keys of one part of a list."""
    columns = [column for column, _ in ordering.sort_keys(part.orders)]
    labels = [column.label(f"key{i}") for i, column in enumerate(columns)]
    select = (
        sa.select(users.c.id, *labels)
        .select_from(*_from_tables(part, sql_dialect))
        .where(*_conditions(part, sql_dialect))
    )
    if part.has_cursor:
        select = select.where(ordering.after_cursor(part.orders))
    return _limited(_ordered(select, part, columns), part, is_part=is_part)


def _page_ids(shape: ListShape, sql_dialect: str) -> Any:
    """Return the subquery of the ids and sort keys of a page, which come from an index alone."""
    parts = _index_ordered_parts(shape)
    if len(parts) == 1:
        return _part_ids(parts[0], sql_dialect, is_part=False).subquery("page")
    selects = (_part_ids(part, sql_dialect, is_part=True).subquery() for part in parts)
    merged = sa.union_all(*(sa.select(select) for select in selects)).subquery("parts")
    keys = [merged.c[f"key{i}"] for i in range(len(ordering.sort_keys(shape.orders)))]
    select = _ordered(sa.select(merged.c.id, *keys), shape, keys)
    return _limited(select, shape, is_part=False).subquery("page")


def _query_for_drivers(
    build_select: Callable[[str], Any],
    row_factory: Callable[[Row], T] | None = None,
    *,
    indexed: bool = False,
) -> Query[T]:
    return Query(
        build_select("postgresql"), row_factory, sqlite=build_select("sqlite"), indexed=indexed
    )


def _keyed_row(row: Row) -> tuple[User, Any]:
    return from_row(row), row[len(COLUMNS)]


@lru_cache(maxsize=512)
def page_query(shape: ListShape, *, indexed: bool) -> Query[tuple[User, Any]]:
    """Return the query of one page: users, each with the value that a cursor needs.

    The ids of the page come first, from an index alone; their rows are joined to them.
    Parameters in addition to those of ``list_params``: ``offset`` if rows are skipped,
    ``after_key`` and ``after_id`` if there is a cursor, ``among`` if the ids are known. The limit
    is part of the text, so that the database can plan with it and keep the plan.

    Args:
        shape: the shape of the list.
        indexed: whether the page is shallow; see ``Query``.
    """

    def build_select(sql_dialect: str) -> Any:
        page = _page_ids(shape, sql_dialect)
        keys = [page.c[f"key{i}"] for i in range(len(ordering.sort_keys(shape.orders)))]
        rows = users.join(page, page.c.id == users.c.id).outerjoin(tenants)
        select = sa.select(*COLUMNS, ordering.cursor_column(shape.orders)).select_from(rows)
        return _ordered(select, shape, keys)

    return _query_for_drivers(build_select, _keyed_row, indexed=indexed)


@lru_cache(maxsize=256)
def ids_query(shape: ListShape) -> Query[int]:
    """Return the query of the ids of a list, at most ``limit`` of them, in no order."""

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
    """Return the query that counts the rows of a search; other lists have counters."""

    def build_select(sql_dialect: str) -> Any:
        if (
            sql_dialect == "sqlite"
            and shape.indexed_words
            and shape == ListShape(Reach.ANY, False, (), None, shape.indexed_words, False)
        ):  # SQLite's trigram index holds exactly the users that are not deleted
            return sa.text("SELECT count(*) FROM users_search WHERE users_search MATCH :match")
        source = _from_tables(shape, sql_dialect)
        return (
            sa.select(sa.func.count()).select_from(*source).where(*_conditions(shape, sql_dialect))
        )

    return _query_for_drivers(build_select)
