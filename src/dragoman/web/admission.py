"""Who may come in while the event loop has more to do than it can."""

from __future__ import annotations

import time

from dragoman.load_shedding import Gate

LONGEST_S = 2.0
"""So much of the loop's own work may wait in a burst."""
TARGET_S, HELD_S = 0.1, 0.05
"""Two hundred lists on connections of their own are not too many; a refusal stands in the same queue."""
PATIENCE_S = 0.2
"""What the loop does takes less than a thousandth of a second: its bursts are short.

But clients that are slow to send their bodies are no queue: ``bodies.LATE_S`` must be shorter.
"""


class Admission:
    """The queue before the event loop: each request costs what the loop worked for it.

    What the loop does not work for, but waits for (the database, hashes), has gates of its own.
    """

    def __init__(self) -> None:
        self._gate = Gate(
            "requests",
            1,
            longest_s=LONGEST_S,
            cost_s=0.0002,
            target_s=TARGET_S,
            patience_s=PATIENCE_S,
            held_s=HELD_S,
        )
        self._worked_s: float | None = None  # not known before its thread has answered one

    def enter(self, aside: int) -> None:
        """Count a request; raises Unavailable.

        ``aside`` of those inside wait for a hash, or for a client that is slow to send its body.
        """
        self._gate.enter(aside)

    def leave(self) -> None:
        """Count it no longer, and learn what it cost."""
        self._gate.leave()
        before, self._worked_s = self._worked_s, time.thread_time()
        if before is not None:
            self._gate.took(self._worked_s - before)


ADMISSION = Admission()
"""This process's: it has one event loop."""
