"""Queues in front of what is scarce: they take bursts, and refuse to stand (after RFC 8289)."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator

from dragoman.rules.errors import Unavailable

TARGET_S = 0.2
"""A queue that is longer than this for long is a standing one: more work comes than can be done."""
PATIENCE_S = 1.0
"""For so long a burst may be."""
MANY, LATELY = 0.1, 0.01
"""Such a share of those who come is many; how much each of them counts in it."""


class Gate:
    """Counts who waits for one of a few places, and says when it is better to come back.

    A burst is taken in whatever it lasts, up to ``longest_s`` of work. A queue that stands above
    ``target_s`` for ``patience_s`` is held there: whoever gets in is served soon, and everybody
    else knows at once. It is held until it has been empty, or nobody was refused for as long.
    While many are refused, it is held at ``held_s``.

    Args:
        what: the word for it in Unavailable.
        places: how many are served at a time.
        longest_s: so much work may wait at all (seconds).
        cost_s: what one costs, to begin with (seconds); it is measured from then on.
        target_s: a queue that is longer is a standing one (seconds)
        patience_s: when it has been so for so long (seconds).
        held_s: how long it may be while it is held and ``MANY`` are refused (seconds);
            ``target_s`` by default.
    """

    def __init__(
        self,
        what: str,
        places: int,
        *,
        longest_s: float,
        cost_s: float,
        target_s: float = TARGET_S,
        patience_s: float = PATIENCE_S,
        held_s: float | None = None,
    ) -> None:
        self._what = what
        self._places = places
        self._longest_s = longest_s
        self._target_s = target_s
        self._patience_s = patience_s
        self._held_s = target_s if held_s is None else held_s
        self._cost_s = cost_s
        self._long_since = 0.0
        self._stands = False
        self._refused_at = 0.0
        self._refused = 0.0
        """The share of those refused among the last who came."""
        self.inside = 0
        """How many wait or are being served."""

    def enter(self, aside: int = 0) -> None:
        """Be counted from now on; raises Unavailable where it should not begin.

        ``aside`` is how many of those inside wait for something else.
        """
        self.look(aside)
        self.inside += 1

    def look(self, aside: int = 0) -> None:
        """Raise what ``enter`` would raise, before anything is done that it would make useless."""
        before = self.inside - aside
        waiting_s = max(0, before - self._places + 1) * self._cost_s / self._places
        refused = waiting_s > self._bound_s(before, waiting_s)
        self._refused += LATELY * (refused - self._refused)
        if refused:
            self._refused_at = time.monotonic()
            raise Unavailable(self._what, retry_after=max(1, math.ceil(waiting_s)))

    def leave(self) -> None:
        """Be counted no longer."""
        self.inside -= 1

    @contextlib.contextmanager
    def entered(self) -> Generator[None]:
        """Be counted for the length of a block; raises what ``enter`` raises."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def _bound_s(self, before: int, waiting_s: float) -> float:
        if before < self._places or (
            self._stands and time.monotonic() - self._refused_at > self._patience_s
        ):
            self._stands = False
        if waiting_s <= self._target_s:
            self._long_since = 0.0
        elif not self._long_since:
            self._long_since = time.monotonic()
        elif not self._stands and time.monotonic() - self._long_since > self._patience_s:
            self._stands, self._refused_at = True, time.monotonic()
        if not self._stands:
            return self._longest_s
        return self._held_s if self._refused > MANY else self._target_s

    def took(self, seconds: float) -> None:
        """Learn what one of them cost, from its beginning to its end at its place."""
        self._cost_s += 0.1 * (seconds - self._cost_s)
