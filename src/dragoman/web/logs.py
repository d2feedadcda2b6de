"""Logs: JSON lines on standard error, never with secrets."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog

log: Any = structlog.get_logger()


def _encode(event: dict[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _add_stack_frames(_: Any, __: str, event: Any) -> Any:
    """Replace the exception by its class and stack; its message may quote the request."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        stack = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["frames"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in stack]
    return event


class _BestEffortStderr:
    """Standard error that drops a line instead of raising if the file is full or closed."""

    def write(self, text: str) -> None:
        """Write a line, if possible."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Flush, if possible."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str) -> None:
    """Log everything from ``level`` up to standard error, one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_stack_frames,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _BestEffortStderr())),
        cache_logger_on_first_use=True,
    )


class LogThrottle:
    """Limits log events to one a second for each key, so that a flood of errors stays readable.

    Keys may hold a client's address: at most ``MAX_KEYS`` are told apart, the others share one.
    """

    MAX_KEYS = 1024

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}
        self._cleared_at = 0.0

    def should_log(self, key: str) -> int | None:
        """Return the number of suppressed events since the last one; None: suppress this one too."""
        now = time.monotonic()
        if key not in self._last and len(self._last) >= self.MAX_KEYS:
            key = self._make_room(key, now)
        if now - self._last.get(key, -1.0) < 1.0:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._suppressed.pop(key, 0)

    def _make_room(self, key: str, now: float) -> str:
        """Forget keys without an event in the last second; return the key to use."""
        if now - self._cleared_at < 1.0:
            return ""
        self._cleared_at = now
        self._last = {k: at for k, at in self._last.items() if now - at < 1.0}
        self._suppressed = {k: n for k, n in self._suppressed.items() if k in self._last}
        return key if len(self._last) < self.MAX_KEYS else ""


throttle = LogThrottle()
