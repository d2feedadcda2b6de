"""Pages of users: how many there are in all, and the rows of one page, from whichever end is near."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.policy import Reach
from dragoman.store import counts, narrow, ordering
from dragoman.store.engine import Read
from dragoman.store.narrow import Scope
from dragoman.store.users import COLUMNS, load

CANDIDATES = 2000
"""A search with at most so many hits sorts them; with more, it walks the order instead."""
FEW = 2000
"""Among at most so many users, a search reads every one of them: the index knows everybody's."""


async def page(
    read: Read,
    scope: Scope,
    wanted: Filter,
    orders: tuple[Order, ...],
    *,
    limit: int,
    offset: int = 0,
    after: tuple[Any, int] | None = None,
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
    values: dict[str, Any] = narrow.values_of(scope, wanted)
    shape = narrow.shape_of(scope, wanted)
    count, hits = await _count(read, scope, wanted, shape, values)
    if hits is not None:
        shape = msgspec.structs.replace(shape, among=True, grams=0, words=False)
        values["among"] = hits
    elif wanted.words:
        shape = msgspec.structs.replace(shape, common=True)
    if after is not None:
        values["after_key"], values["after_id"] = after
        offset = 0
    kept = min(limit, max(0, count - offset)) if offset else limit
    backwards = 2 * offset > count
    if backwards:  # a late page is counted from the end: the last costs what the first costs
        offset = max(0, count - offset - limit)
    shape = msgspec.structs.replace(
        shape,
        orders=ordering.turned(orders) if backwards else orders,
        after=after is not None,
        limit=limit,
        skips=offset > 0,
    )
    query = narrow.page_query(shape, COLUMNS, load)
    fetch = read.quick if narrow.is_near(shape, offset) else read.all
    found = await fetch(query, **values, offset=offset) if kept else []
    found = found[:kept][::-1] if backwards else found
    rows = [user for user, _ in found]
    position = (found[-1][1], rows[-1].id) if found and ordering.continues(orders) else None
    return Page(rows, count, position)


async def _count(
    read: Read, scope: Scope, wanted: Filter, shape: narrow.Shape, values: dict[str, Any]
) -> tuple[int, list[int] | None]:
    """Return how many users match, and their ids where a search found few."""
    among = 1 if scope.reach is Reach.SELF else await counts.of(read, scope, wanted)
    if not wanted.words and scope.reach is not Reach.SELF:
        return among, None
    if wanted.words:
        searched = msgspec.structs.replace(shape, common=among <= FEW)
        hits = await read.all(narrow.ids_query(searched), **values, limit=CANDIDATES + 1)
        if len(hits) <= CANDIDATES:
            return len(hits), hits
    return await read.total(narrow.count_query(shape), **values) or 0, None
