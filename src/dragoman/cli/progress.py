"""Progress of long commands on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Protocol

from dragoman.cli.errors import echo

LINE_INTERVAL_S = 5.0
"""Seconds between two plain lines."""


class Progress(Protocol):
    """Shows how far a command is."""

    def begin(self, label: str, size: int) -> None:
        """Begin to read so many bytes; 0 if the number is unknown."""
        ...

    def advance(self, position: int, count: int) -> None:
        """Show that so many bytes and rows are read."""
        ...

    def end(self) -> None:
        """Remove the bar, so that messages can follow."""
        ...


def on_standard_error() -> Progress:
    """Return a bar if standard error is a terminal that can show one, else plain lines."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return _Bar()
    return _Lines()


class _Lines:
    """One line every few seconds."""

    def __init__(self) -> None:
        self._label = ""
        self._size = 0
        self._begun = self._shown = 0.0
        self._first_position = -1
        self._first_count = 0

    def begin(self, label: str, size: int) -> None:
        self._label, self._size = label, size
        self._begun = self._shown = time.monotonic()
        self._first_position = -1

    def advance(self, position: int, count: int) -> None:
        now = time.monotonic()
        if self._first_position < 0:  # a resumed import does not begin at the beginning
            self._first_position, self._first_count, self._begun = position, count, now
        if now - self._shown < LINE_INTERVAL_S:
            return
        self._shown = now
        seconds = max(now - self._begun, 1e-6)
        rate = (count - self._first_count) / seconds
        parts = [f"{count:,} rows", f"{rate:,.0f} rows/s"]
        done = position - self._first_position
        if self._size and done > 0:
            left = max(0, self._size - position) * seconds / done
            parts = [f"{position / self._size:.0%}", *parts, f"{duration(left)} left"]
        echo([f"{self._label}: {', '.join(parts)}"])

    def end(self) -> None:
        pass


class _Bar:
    """A bar with the share of the bytes, the rows, their rate and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeRemainingColumn(compact=True),
            console=Console(file=sys.stderr),  # obeys NO_COLOR
            transient=True,
        )
        self._task = None
        self._begun = 0.0
        self._first_count = -1

    def begin(self, label: str, size: int) -> None:
        self.end()
        self._task = self._bar.add_task(label, total=size or None, rows="")
        self._begun, self._first_count = time.monotonic(), -1
        self._bar.start()

    def advance(self, position: int, count: int) -> None:
        if self._task is None:
            return
        now = time.monotonic()
        if self._first_count < 0:
            self._first_count, self._begun = count, now
        rate = (count - self._first_count) / max(now - self._begun, 1e-6)
        self._bar.update(self._task, completed=position, rows=f"{count:,} rows, {rate:,.0f} rows/s")

    def end(self) -> None:
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


def duration(seconds: float) -> str:
    """Return a duration for people, as 1:05 or 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
