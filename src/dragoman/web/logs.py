"""Logs: JSON lines on standard error; nothing secret is ever given to them."""

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
    """Tell where it happened, never the exception's own words: those quote what came in."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        stack = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["frames"] = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in stack]
    return event


class _BestEffortStderr:
    """Standard error, which may be full or gone: a line is lost then, and nothing else."""

    def write(self, text: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Send it on its way."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure(level: str) -> None:
    """Send everything from ``level`` up to standard error, a JSON object a line."""
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
    """What is said once a second at most: a flood of refusals is no flood of lines."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def should_log(self, key: str) -> int | None:
        """Return how often it was not said since the last time; None where that was just now."""
        now = time.monotonic()
        if now - self._last.get(key, -1.0) < 1.0:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._suppressed.pop(key, 0)


throttle = LogThrottle()
