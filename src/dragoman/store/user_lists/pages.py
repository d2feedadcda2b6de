"""Pages of users: how many there are in all, and the rows of one page, from whichever end is near."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.vocabulary import Reach
from dragoman.store.transaction import Read
from dragoman.store.user_lists import counters, filters, ordering
from dragoman.store.user_lists.counters import ListCount
from dragoman.store.user_lists.filters import Scope
from dragoman.store.user_lists.page_cache import Cursor, ListKey
from dragoman.store.users import COLUMNS, from_row

SORT_THRESHOLD = 2000
"""A search with at most so many hits sorts them; with more, it walks the order instead."""
SCAN_THRESHOLD = 2000
"""Among at most so many users, a search reads every one of them: the index knows everybody's."""


async def page(
    reader: Read,
    scope: Scope,
    user_filter: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    cursor: tuple[Any, int] | None = None,
) -> Page[User]:
    """Return users of a scope, the exact count of all, and the position behind the last.

    Args:
        read: on whose behalf.
        scope: whose users are seen.
        wanted: filters and search words, all of which must match.
        orders: sort keys, the first one first.
        limit: rows at most.
        offset: rows to skip; ignored where ``after`` is given.
        after: the position to continue from (only where ``ordering.continues(orders)``).
    """
    params: dict[str, Any] = filters.list_params(scope, user_filter)
    shape = filters.list_shape(scope, user_filter)
    total, hit_ids = await _count_matches(reader, scope, user_filter, shape, params)
    count = total.count
    if hit_ids is not None:
        shape = msgspec.structs.replace(
            shape, by_ids=True, indexed_words=0, has_unindexed_words=False
        )
        params["among"] = hit_ids
    elif user_filter.words:
        shape = msgspec.structs.replace(shape, many_hits=True)
    if cursor is not None:
        offset = 0
    page_size = min(limit, max(0, count - offset)) if offset else limit
    from_end = 2 * offset > count
    if from_end:  # a late page is counted from the end: the last costs what the first costs
        offset = max(0, count - offset - limit)
    effective_orders = ordering.reversed_(orders) if from_end else orders
    window = _Window(
        msgspec.structs.replace(shape, orders=effective_orders), params, offset, limit, cursor
    )
    if not page_size:
        keyed_rows = []
    elif (
        offset > filters.SHALLOW_OFFSET
        and ordering.is_covered_by_version(effective_orders)
        and not user_filter.words
    ):
        keyed_rows = await _deep_page(
            reader, (scope, user_filter, effective_orders), total.version, window
        )
    else:
        keyed_rows = await _fetch_rows(reader, window)
    keyed_rows = keyed_rows[:page_size][::-1] if from_end else keyed_rows
    rows = [user for user, _ in keyed_rows]
    next_cursor = (
        (keyed_rows[-1][1], rows[-1].id)
        if keyed_rows and ordering.supports_keyset(orders)
        else None
    )
    return Page(rows, count, next_cursor)


class _Window(msgspec.Struct, frozen=True):
    """A piece of a list: what it shows, how many rows are passed over, and after which position."""

    shape: filters.ListShape
    params: dict[str, Any]
    offset: int
    limit: int
    cursor: Cursor | None


async def _fetch_rows(reader: Read, window: _Window) -> list[tuple[User, Any]]:
    """Return the users of a piece, each with its sort key."""
    params = window.params
    if window.cursor is not None:
        params = {**params, "after_key": window.cursor[0], "after_id": window.cursor[1]}
    shape = msgspec.structs.replace(
        window.shape,
        has_cursor=window.cursor is not None,
        limit=window.limit,
        has_offset=window.offset > 0,
    )
    query = filters.page_query(shape, COLUMNS, from_row)
    fetch = reader.quick if filters.is_shallow(shape, window.offset) else reader.fetch
    return await fetch(query, **params, offset=window.offset)


async def _deep_page(
    reader: Read, list_key: ListKey, version: tuple[int, int], window: _Window
) -> list[tuple[User, Any]]:
    """Return the users of a piece far from both ends, counted from the nearest known place.

    The row before it is read as well: what comes after that is the piece, the next time.
    """
    page_cache = reader.driver.page_cache
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


async def _count_matches(
    reader: Read,
    scope: Scope,
    user_filter: Filter,
    shape: filters.ListShape,
    params: dict[str, Any],
) -> tuple[ListCount, list[int] | None]:
    """Return how many users match, and their ids where a search found few."""
    unsearched = (
        ListCount(1)
        if scope.reach is Reach.SELF
        else await counters.count_list(reader, scope, user_filter)
    )
    if not user_filter.words and scope.reach is not Reach.SELF:
        return unsearched, None
    page_cache, list_key = reader.driver.page_cache, (scope, user_filter, ())
    if user_filter.words:
        if (cached := page_cache.get_count(list_key, unsearched.version)) is not None:
            return ListCount(cached), None
        search_shape = msgspec.structs.replace(shape, many_hits=unsearched.count <= SCAN_THRESHOLD)
        hit_ids = await reader.fetch(
            filters.ids_query(search_shape), **params, limit=SORT_THRESHOLD + 1
        )
        if len(hit_ids) <= SORT_THRESHOLD:
            return ListCount(len(hit_ids)), hit_ids
    total = await reader.total(filters.count_query(shape), **params) or 0
    if scope.reach is not Reach.SELF:
        page_cache.put_count(list_key, unsearched.version, total)
    return ListCount(total), None
