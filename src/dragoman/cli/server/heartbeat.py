"""Notices workers that hang, and kills them so that Granian replaces them.

The event loop of every worker counts up in memory that it shares with the main process. If a
count does not change while the main process looks at it ``MAX_MISSED`` times, the worker's event
loop is blocked, or the worker is stopped. Looks are counted instead of seconds, so that nothing is
killed after the whole machine was suspended.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from dragoman.web.logs import log

BEAT_S = 1.0
"""Interval at which workers count, and at which the main process looks (seconds)."""
MAX_MISSED = 30
"""Number of looks without a new count after which a worker is killed."""
_SLOT = struct.Struct("=Q")


class WorkerProcess(Protocol):
    """A worker process that can be killed."""

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        ...


class Heartbeats:
    """The counts of all workers, in memory that forked processes share."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, _SLOT.size * workers)
        self._seen = [0] * workers
        self._missed = [0] * workers

    def beat(self, worker: int, loop: asyncio.AbstractEventLoop) -> None:
        """Count up in a worker, now and every ``BEAT_S``."""
        _SLOT.pack_into(self._memory, worker * _SLOT.size, self._count(worker) + 1)
        loop.call_later(BEAT_S, self.beat, worker, loop)

    def reset(self, worker: int) -> None:
        """Begin anew for a worker that is being started."""
        self._missed[worker] = 0

    def look(self) -> list[int]:
        """Look at all counts; return the workers that hang, and begin anew for them."""
        hanging: list[int] = []
        for worker, seen in enumerate(self._seen):
            count = self._seen[worker] = self._count(worker)
            self._missed[worker] = 0 if count != seen else self._missed[worker] + 1
            if self._missed[worker] >= MAX_MISSED:
                hanging.append(worker)
                self._missed[worker] = 0
        return hanging

    def _count(self, worker: int) -> int:
        return _SLOT.unpack_from(self._memory, worker * _SLOT.size)[0]


class HungWorkerKiller:
    """Looks at the workers in a thread of the main process and kills those that hang.

    Args:
        heartbeats: the counts.
        processes: returns the worker processes, in the order of their numbers.
    """

    def __init__(
        self, heartbeats: Heartbeats, processes: Callable[[], Iterable[WorkerProcess]]
    ) -> None:
        self._heartbeats = heartbeats
        self._processes = processes
        self._stopped = threading.Event()

    def start(self) -> None:
        """Look every ``BEAT_S``, until ``stop``."""
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Kill nothing from now on."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_S):
            hanging = self._heartbeats.look()
            for number, process in enumerate(list(self._processes())):
                if number in hanging and not self._stopped.is_set():
                    log.error("worker_hangs", worker=number + 1, seconds=MAX_MISSED * BEAT_S)
                    with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
                        process.kill()
