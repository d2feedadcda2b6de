"""Pages of users: the exact count, and the rows of one page, read from the nearer end of the list."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.vocabulary import Reach
from dragoman.store.transaction import Read
from dragoman.store.user_lists import counters, filters, ordering
from dragoman.store.user_lists.counters import ListCount
from dragoman.store.user_lists.filters import Scope
from dragoman.store.user_lists.page_cache import Cursor, ListKey, PageCache

SORT_THRESHOLD = 2000
"""Maximum number of hits that a search sorts; with more, it walks the index of the order instead."""
SCAN_THRESHOLD = 2000
"""Maximum number of users in scope for which a search reads each row.

The trigram index covers all tenants, so that it is the slower way to search a small one.
"""
CLOSED_SCAN_THRESHOLD = 20_000
"""The same where a closed contract leaves out at least HIDDEN_FACTOR times as many users.

The trigram index finds those as well: thousands may have signed up under one name.
"""
HIDDEN_FACTOR = 5


async def page(
    reader: Read,
    page_cache: PageCache,
    scope: Scope,
    user_filter: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    cursor: tuple[Any, int] | None = None,
) -> Page[User]:
    """Return one page of users, the exact count of the whole list, and the cursor of the next page.

    Args:
        reader: the reader that runs the statements.
        page_cache: the cache of cursors and counts.
        scope: which users the actor may see.
        user_filter: filters and search words, all of which must match.
        orders: sort keys, the most significant first.
        limit: maximum number of rows.
        offset: number of rows to skip; ignored if a cursor is given.
        cursor: the row to continue after; requires ``ordering.supports_keyset(orders)``.
    """
    params, shape = filters.list_params(scope, user_filter), filters.list_shape(scope, user_filter)
    list_key: ListKey = (scope, user_filter, ())
    total, hit_ids = await _count_matches(reader, page_cache, list_key, shape, params)
    count = total.count
    if hit_ids is not None:
        shape = filters.by_ids(shape)
        params["among"] = hit_ids
    elif user_filter.words:
        shape = msgspec.structs.replace(shape, many_hits=True)
    if cursor is not None:
        offset = 0
    page_size = min(limit, max(0, count - offset)) if offset else limit
    from_end = 2 * offset > count
    if from_end:  # so that the last page costs the same as the first
        offset = max(0, count - offset - limit)
    effective_orders = ordering.reversed_(orders) if from_end else orders
    shape = msgspec.structs.replace(shape, orders=effective_orders)
    window = _Window(shape, params, offset, limit, cursor)
    keyed_rows: list[tuple[User, Any]] = []
    if page_size and _is_cacheable(window, user_filter):
        ordered_key = (scope, user_filter, effective_orders)
        keyed_rows = await _deep_page(reader, page_cache, ordered_key, total.version, window)
    elif page_size:
        keyed_rows = await _fetch_rows(reader, window)
    keyed_rows = keyed_rows[:page_size][::-1] if from_end else keyed_rows
    rows = [user for user, _ in keyed_rows]
    has_cursor = keyed_rows and ordering.supports_keyset(orders)
    return Page(rows, count, (keyed_rows[-1][1], rows[-1].id) if has_cursor else None)


class _Window(msgspec.Struct, frozen=True):
    """Part of a list: its shape and parameters, and which rows to read."""

    shape: filters.ListShape
    params: dict[str, Any]
    offset: int
    limit: int
    cursor: Cursor | None


def _is_cacheable(window: _Window, user_filter: Filter) -> bool:
    """Return whether the page cache knows cursors of a window: it is deep, and counted."""
    return (
        window.offset > filters.SHALLOW_OFFSET
        and ordering.is_covered_by_version(window.shape.orders)
        and user_filter.is_counted
    )


async def _fetch_rows(reader: Read, window: _Window) -> list[tuple[User, Any]]:
    """Return the users of a window, each with the value of its sort key."""
    params = window.params
    if window.cursor is not None:
        params = {**params, "after_key": window.cursor[0], "after_id": window.cursor[1]}
    shape = msgspec.structs.replace(
        window.shape,
        has_cursor=window.cursor is not None,
        limit=window.limit,
        has_offset=window.offset > 0,
    )
    indexed = filters.is_shallow(shape, window.offset)
    query = filters.page_query(shape, indexed=indexed)
    return await reader.fetch(query, **params, offset=window.offset)


async def _deep_page(
    reader: Read,
    page_cache: PageCache,
    list_key: ListKey,
    version: tuple[int, int],
    window: _Window,
) -> list[tuple[User, Any]]:
    """Return a window far from both ends of a list, starting at the nearest cached cursor.

    The row before the window is read as well: it is cached as the cursor of this window.

    Args:
        reader: the reader that runs the statements.
        page_cache: the cache of cursors.
        list_key: identifies the list and its order in the cache.
        version: the version of the list; see ``counters.ListCount``.
        window: the rows to read.
    """
    nearest_offset, cursor = page_cache.nearest(list_key, version, window.offset) or (0, None)
    if nearest_offset == window.offset:
        keyed_rows = await _fetch_rows(
            reader, msgspec.structs.replace(window, offset=0, cursor=cursor)
        )
    else:
        remaining_offset = window.offset - nearest_offset - 1
        extended = msgspec.structs.replace(
            window, offset=remaining_offset, limit=window.limit + 1, cursor=cursor
        )
        rows = await _fetch_rows(reader, extended)
        for user, key in rows[:1]:
            page_cache.put_cursor(list_key, version, window.offset, (key, user.id))
        keyed_rows = rows[1:]
    if keyed_rows:
        last, key = keyed_rows[-1]
        page_cache.put_cursor(list_key, version, window.offset + len(keyed_rows), (key, last.id))
    return keyed_rows


def _reads_each_row(scope_count: ListCount) -> bool:
    """Return whether a search reads each row of its scope instead of the trigram index."""
    if scope_count.count <= SCAN_THRESHOLD:
        return True
    is_flooded = scope_count.hidden >= HIDDEN_FACTOR * scope_count.count
    return is_flooded and scope_count.count <= CLOSED_SCAN_THRESHOLD


async def _count_matches(
    reader: Read,
    page_cache: PageCache,
    list_key: ListKey,
    shape: filters.ListShape,
    params: dict[str, Any],
) -> tuple[ListCount, list[int] | None]:
    """Return the count of a list, and the ids of its users if a search has found few.

    Args:
        reader: the reader that runs the statements.
        page_cache: the cache of counts.
        list_key: identifies the list in the cache, without an order.
        shape: the shape of the list.
        params: the parameters of the conditions.
    """
    scope, user_filter, _ = list_key
    unsearched = (
        ListCount(1)
        if scope.reach is Reach.SELF
        else await counters.count_list(reader, scope, user_filter)
    )
    if user_filter.is_counted and scope.reach is not Reach.SELF:
        return unsearched, None

    if user_filter.words:
        cached = page_cache.get_count(list_key, unsearched.version)
        if cached is not None and user_filter.is_versioned:
            return ListCount(cached), None
        shape = msgspec.structs.replace(shape, many_hits=_reads_each_row(unsearched))
        hit_ids = await reader.fetch(filters.ids_query(shape), **params, limit=SORT_THRESHOLD + 1)
        if len(hit_ids) <= SORT_THRESHOLD:
            return ListCount(len(hit_ids)), hit_ids
    total = await reader.fetch_one(filters.count_query(shape), **params) or 0
    if scope.reach is not Reach.SELF and user_filter.is_versioned:
        page_cache.put_count(list_key, unsearched.version, total)
    return ListCount(total), None
