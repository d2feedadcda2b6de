"""What is known of lists that were asked for: where pages begin, how many hits a search has."""

from __future__ import annotations

import bisect
import time
from collections import OrderedDict
from typing import Any

from dragoman.rules.model import Filter, Order
from dragoman.store.user_lists.filters import Scope

MAX_LISTS, MAX_CURSORS = 32, 256
"""So many lists, and so many places in each of them, are remembered."""
TTL_S = 60.0
"""So long a place is believed: nodes of an older schema change lists without saying so."""

ListKey = tuple[Scope, Filter, tuple[Order, ...]]
"""What a list shows, and in which order."""
Cursor = tuple[Any, int]
"""The position after which a row stands: see ``ordering.after``."""


class _CachedList:
    """The places of one list, as it stood at a version."""

    def __init__(self, version: tuple[int, int]) -> None:
        self.version = version
        self.created_at = time.monotonic()
        self.count: int | None = None
        self.offsets: list[int] = []
        self.cursors: dict[int, Cursor] = {}

    def put(self, offset: int, cursor: Cursor) -> None:
        if offset in self.cursors:
            return
        if len(self.cursors) == MAX_CURSORS:
            oldest = next(iter(self.cursors))
            del self.cursors[oldest]
            self.offsets.remove(oldest)
        self.cursors[offset] = cursor
        bisect.insort(self.offsets, offset)


class PageCache:
    """Places in the lists that were asked for last, and their lengths; of one database.

    So who turns the pages of a list by number, or those of a search that has many hits, pays for
    the way and for the count once. A version (see ``counts.of``) is another one after every change
    that moves any row of a list: what was noted of an earlier version is worth nothing.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[ListKey, _CachedList] = OrderedDict()

    def nearest(
        self, list_key: ListKey, version: tuple[int, int], offset: int
    ) -> tuple[int, Cursor] | None:
        """Return the last known place at or before an offset, and its offset."""
        cached = self._get(list_key, version)
        index = bisect.bisect_right(cached.offsets, offset) if cached else 0
        if not cached or not index:
            return None
        return cached.offsets[index - 1], cached.cursors[cached.offsets[index - 1]]

    def put_cursor(
        self, list_key: ListKey, version: tuple[int, int], offset: int, cursor: Cursor
    ) -> None:
        """Remember that the row at an offset (counted from 0) stands right after a place."""
        self._get_or_create(list_key, version).put(offset, cursor)

    def get_count(self, list_key: ListKey, version: tuple[int, int]) -> int | None:
        """Return how many rows a list has, where that was noted."""
        cached = self._get(list_key, version)
        return cached.count if cached else None

    def put_count(self, list_key: ListKey, version: tuple[int, int], count: int) -> None:
        """Remember how many rows a list has."""
        self._get_or_create(list_key, version).count = count

    def _get_or_create(self, list_key: ListKey, version: tuple[int, int]) -> _CachedList:
        cached = self._get(list_key, version)
        if cached is None:
            cached = self._lists[list_key] = _CachedList(version)
            if len(self._lists) > MAX_LISTS:
                self._lists.popitem(last=False)
        self._lists.move_to_end(list_key)
        return cached

    def _get(self, list_key: ListKey, version: tuple[int, int]) -> _CachedList | None:
        cached = self._lists.get(list_key)
        if cached and cached.version == version and time.monotonic() - cached.created_at < TTL_S:
            return cached
        return None
