"""Page cache: cursors of pages by number, and counts of searches, per version of a list."""

from __future__ import annotations

import bisect
import time
from collections import OrderedDict
from typing import Any

from dragoman.rules.model import Filter, Order
from dragoman.store.user_lists.filters import Scope

MAX_LISTS = 32
"""Maximum number of cached lists; the least recently used one is dropped first."""
MAX_CURSORS = 256
"""Maximum number of cursors per list; the oldest one is dropped first."""
TTL_S = 60.0
"""Lifetime of an entry in seconds: nodes that run an older schema do not move the version."""

ListKey = tuple[Scope, Filter, tuple[Order, ...]]
"""Identifies a list: its scope, filters and order."""
Cursor = tuple[Any, int]
"""The sort key and the id of a row: see ``ordering.after_cursor``."""


class _CachedList:
    """The count and the cursors of one list at one version."""

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
    """Caches cursors and counts of the user lists that were requested last.

    Paging through a long list by number skips each row only once, and a search with many hits is
    counted only once. Every change that may move a row of a list also changes the version of the
    list (``counters.ListCount``), and entries of other versions are ignored.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[ListKey, _CachedList] = OrderedDict()

    def nearest(
        self, list_key: ListKey, version: tuple[int, int], offset: int
    ) -> tuple[int, Cursor] | None:
        """Return the largest cached offset up to ``offset``, and its cursor."""
        cached = self._get(list_key, version)
        index = bisect.bisect_right(cached.offsets, offset) if cached else 0
        if not cached or not index:
            return None
        return cached.offsets[index - 1], cached.cursors[cached.offsets[index - 1]]

    def put_cursor(
        self, list_key: ListKey, version: tuple[int, int], offset: int, cursor: Cursor
    ) -> None:
        """Cache that the row at an offset directly follows a cursor.

        Args:
            list_key: identifies the list.
            version: the version of the list.
            offset: the offset of the row, counted from 0.
            cursor: the row before it.
        """
        self._get_or_create(list_key, version).put(offset, cursor)

    def get_count(self, list_key: ListKey, version: tuple[int, int]) -> int | None:
        """Return the cached count of a list, or None."""
        cached = self._get(list_key, version)
        return cached.count if cached else None

    def put_count(self, list_key: ListKey, version: tuple[int, int], count: int) -> None:
        """Cache the count of a list."""
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
