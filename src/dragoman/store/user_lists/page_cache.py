"""What is known of lists that were asked for: where pages begin, how many hits a search has."""

from __future__ import annotations

import bisect
import time
from collections import OrderedDict
from typing import Any

from dragoman.rules.model import Filter, Order
from dragoman.store.user_lists.filters import Scope

LISTS, PLACES = 32, 256
"""So many lists, and so many places in each of them, are remembered."""
GOOD_S = 60.0
"""So long a place is believed: nodes of an older schema change lists without saying so."""

Name = tuple[Scope, Filter, tuple[Order, ...]]
"""What a list shows, and in which order."""
Place = tuple[Any, int]
"""The position after which a row stands: see ``ordering.after``."""


class _List:
    """The places of one list, as it stood at a version."""

    def __init__(self, version: tuple[int, int]) -> None:
        self.version = version
        self.made = time.monotonic()
        self.count: int | None = None
        self.offsets: list[int] = []
        self.places: dict[int, Place] = {}

    def put(self, offset: int, place: Place) -> None:
        if offset in self.places:
            return
        if len(self.places) == PLACES:
            earliest = next(iter(self.places))
            del self.places[earliest]
            self.offsets.remove(earliest)
        self.places[offset] = place
        bisect.insort(self.offsets, offset)


class Bookmarks:
    """Places in the lists that were asked for last, and their lengths; of one database.

    So who turns the pages of a list by number, or those of a search that has many hits, pays for
    the way and for the count once. A version (see ``counts.of``) is another one after every change
    that moves any row of a list: what was noted of an earlier version is worth nothing.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[Name, _List] = OrderedDict()

    def before(self, name: Name, version: tuple[int, int], offset: int) -> tuple[int, Place] | None:
        """Return the last known place at or before an offset, and its offset."""
        found = self._known(name, version)
        at = bisect.bisect_right(found.offsets, offset) if found else 0
        if not found or not at:
            return None
        return found.offsets[at - 1], found.places[found.offsets[at - 1]]

    def put(self, name: Name, version: tuple[int, int], offset: int, place: Place) -> None:
        """Remember that the row at an offset (counted from 0) stands right after a place."""
        self._noted(name, version).put(offset, place)

    def count(self, name: Name, version: tuple[int, int]) -> int | None:
        """Return how many rows a list has, where that was noted."""
        found = self._known(name, version)
        return found.count if found else None

    def put_count(self, name: Name, version: tuple[int, int], count: int) -> None:
        """Remember how many rows a list has."""
        self._noted(name, version).count = count

    def _noted(self, name: Name, version: tuple[int, int]) -> _List:
        known = self._known(name, version)
        if known is None:
            known = self._lists[name] = _List(version)
            if len(self._lists) > LISTS:
                self._lists.popitem(last=False)
        self._lists.move_to_end(name)
        return known

    def _known(self, name: Name, version: tuple[int, int]) -> _List | None:
        found = self._lists.get(name)
        if found and found.version == version and time.monotonic() - found.made < GOOD_S:
            return found
        return None
