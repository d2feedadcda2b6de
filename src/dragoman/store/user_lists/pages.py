"""Pages of users: how many there are in all, and the rows of one page, from whichever end is near."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.rules.model import Filter, Order, Page, User
from dragoman.rules.vocabulary import Reach
from dragoman.store.transaction import Read
from dragoman.store.user_lists import counters, filters, ordering
from dragoman.store.user_lists.counters import Counted
from dragoman.store.user_lists.filters import Scope
from dragoman.store.user_lists.page_cache import Name, Place
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
    values: dict[str, Any] = filters.values_of(scope, wanted)
    shape = filters.shape_of(scope, wanted)
    counted, hits = await _count(read, scope, wanted, shape, values)
    count = counted.n
    if hits is not None:
        shape = msgspec.structs.replace(shape, among=True, grams=0, words=False)
        values["among"] = hits
    elif wanted.words:
        shape = msgspec.structs.replace(shape, common=True)
    if after is not None:
        offset = 0
    kept = min(limit, max(0, count - offset)) if offset else limit
    backwards = 2 * offset > count
    if backwards:  # a late page is counted from the end: the last costs what the first costs
        offset = max(0, count - offset - limit)
    ordered = ordering.turned(orders) if backwards else orders
    part = _Part(msgspec.structs.replace(shape, orders=ordered), values, offset, limit, after)
    if not kept:
        found = []
    elif offset > filters.NEAR and ordering.is_stable(ordered) and not wanted.words:
        found = await _deep(read, (scope, wanted, ordered), counted.version, part)
    else:
        found = await _rows(read, part)
    found = found[:kept][::-1] if backwards else found
    rows = [user for user, _ in found]
    position = (found[-1][1], rows[-1].id) if found and ordering.continues(orders) else None
    return Page(rows, count, position)


class _Part(msgspec.Struct, frozen=True):
    """A piece of a list: what it shows, how many rows are passed over, and after which position."""

    shape: filters.Shape
    values: dict[str, Any]
    offset: int
    limit: int
    after: Place | None


async def _rows(read: Read, part: _Part) -> list[tuple[User, Any]]:
    """Return the users of a piece, each with its sort key."""
    values = part.values
    if part.after is not None:
        values = {**values, "after_key": part.after[0], "after_id": part.after[1]}
    shape = msgspec.structs.replace(
        part.shape, after=part.after is not None, limit=part.limit, skips=part.offset > 0
    )
    query = filters.page_query(shape, COLUMNS, load)
    fetch = read.quick if filters.is_near(shape, part.offset) else read.all
    return await fetch(query, **values, offset=part.offset)


async def _deep(
    read: Read, name: Name, version: tuple[int, int], part: _Part
) -> list[tuple[User, Any]]:
    """Return the users of a piece far from both ends, counted from the nearest known place.

    The row before it is read as well: what comes after that is the piece, the next time.
    """
    marks = read.driver.bookmarks
    at, place = marks.before(name, version, part.offset) or (0, None)
    if at == part.offset:
        found = await _rows(read, msgspec.structs.replace(part, offset=0, after=place))
    else:
        skipped = part.offset - at - 1
        wider = msgspec.structs.replace(part, offset=skipped, limit=part.limit + 1, after=place)
        rows = await _rows(read, wider)
        for user, key in rows[:1]:
            marks.put(name, version, part.offset, (key, user.id))
        found = rows[1:]
    if found:
        last, key = found[-1]
        marks.put(name, version, part.offset + len(found), (key, last.id))
    return found


async def _count(
    read: Read, scope: Scope, wanted: Filter, shape: filters.Shape, values: dict[str, Any]
) -> tuple[Counted, list[int] | None]:
    """Return how many users match, and their ids where a search found few."""
    among = Counted(1) if scope.reach is Reach.SELF else await counters.of(read, scope, wanted)
    if not wanted.words and scope.reach is not Reach.SELF:
        return among, None
    marks, name = read.driver.bookmarks, (scope, wanted, ())
    if wanted.words:
        if (known := marks.count(name, among.version)) is not None:
            return Counted(known), None
        searched = msgspec.structs.replace(shape, common=among.n <= FEW)
        hits = await read.all(filters.ids_query(searched), **values, limit=CANDIDATES + 1)
        if len(hits) <= CANDIDATES:
            return Counted(len(hits)), hits
    found = await read.total(filters.count_query(shape), **values) or 0
    if scope.reach is not Reach.SELF:
        marks.put_count(name, among.version, found)
    return Counted(found), None
