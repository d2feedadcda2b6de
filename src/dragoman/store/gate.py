"""Queues in front of what is scarce: they take bursts, and refuse to stand (after RFC 8289)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator

from dragoman.rules.errors import Unavailable

TARGET_S = 0.3
"""A queue that is longer than this for long is a standing one: more work comes than can be done."""
PATIENCE_S = 1.0
"""For so long a burst may be."""


class Gate:
    """Counts who waits for one of a few places, and says when it is better to come back.

    A burst is taken in whatever it lasts, up to ``longest_s`` of work. A queue that stands above
    ``TARGET_S`` for ``PATIENCE_S`` is held there until it has been empty: whoever gets in is
    served soon, and everybody else knows at once.

    Args:
        what: the word for it in Unavailable.
        places: how many are served at a time.
        longest_s: so much work may wait at all (seconds).
        cost_s: what one costs, to begin with (seconds); it is measured from then on.
    """

    def __init__(self, what: str, places: int, *, longest_s: float, cost_s: float) -> None:
        self._what = what
        self._places = places
        self._longest_s = longest_s
        self._cost_s = cost_s
        self._long_since = 0.0
        self._stands = False
        self.inside = 0
        """How many wait or are being served."""

    @contextlib.contextmanager
    def entered(self) -> Generator[None]:
        """Be counted for the length of a block; raises Unavailable where it should not begin."""
        waiting_s = max(0, self.inside - self._places + 1) * self._cost_s / self._places
        if waiting_s > self._bound_s(waiting_s):
            raise Unavailable(self._what, retry_after=max(1, math.ceil(waiting_s)))
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def _bound_s(self, waiting_s: float) -> float:
        if self.inside < self._places:
            self._stands = False
        if waiting_s <= TARGET_S:
            self._long_since = 0.0
        elif not self._long_since:
            self._long_since = time.monotonic()
        elif time.monotonic() - self._long_since > PATIENCE_S:
            self._stands = True
        return TARGET_S if self._stands else self._longest_s

    def took(self, seconds: float) -> None:
        """Learn what one of them cost, from its beginning to its end at its place."""
        self._cost_s += 0.1 * (seconds - self._cost_s)
