"""Logs: lines on standard error, JSON for programs or text for people, never with secrets."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec
import structlog

log: Any = structlog.get_logger()

EVENT_WIDTH = 24
"""Columns that the event takes in a text line; the fields of most lines begin below each other."""
_LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))

_worker = 0
"""The number of this worker process; 0: it is none."""
_descriptor: int | None = None
"""The file that lines are written to; None: that of standard error."""


def _encode(event: dict[str, Any], **_: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except UnicodeEncodeError:  # a lone surrogate, as in the name of a file that is not UTF-8
        return json.dumps(event, default=str)


def _add_worker(_: Any, __: str, event: Any) -> Any:
    if _worker:
        event.setdefault("worker", _worker)
    return event


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


def _put_first(_: Any, __: str, event: Any) -> Any:
    """Begin with what every line has, so that lines can be read as they are."""
    return {name: event.pop(name) for name in ("time", "level", "event")} | event


def _as_text(value: Any) -> str:
    """Return a value without control characters: a client may have chosen it."""
    text = value if isinstance(value, str) else _encode(value)
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _for_people(_: Any, __: str, event: Any) -> Any:
    """Leave out what is empty, and put stacks and tables on lines of their own."""
    lines: list[str] = list(event.pop("frames", ()))
    for name in [name for name, value in event.items() if isinstance(value, dict)]:
        pairs: dict[str, Any] = event.pop(name)
        width = max(map(len, pairs), default=0)
        lines += [f"{key:<{width}}  {_as_text(value)}" for key, value in pairs.items()]
    shown = {name: _as_text(value) for name, value in event.items() if value not in (None, "")}
    if lines:
        shown["exception"] = "\n".join(f"    {line}" for line in lines)
    return shown


class _BestEffortStderr:
    """Standard error that drops a line instead of raising if the file is full or closed.

    Lines go past Python's buffer, whose lock a forked process could inherit locked; one call of
    the system for each, so that lines of several processes do not mix.
    """

    def write(self, text: str) -> None:
        """Write a line, if possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # None if it was closed
            try:
                descriptor = _descriptor or sys.stderr.fileno()
            except (OSError, ValueError):  # something else takes its place, as in tests
                sys.stderr.write(text)
                return
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(descriptor, data) :]

    def flush(self) -> None:
        """Nothing is kept back."""


def write_to(descriptor: int) -> None:
    """Write lines to this file from now on."""
    global _descriptor  # noqa: PLW0603 - as the loggers, it belongs to the process
    _descriptor = descriptor


def uses_colours() -> bool:
    """Return whether text is coloured: on a terminal, if NO_COLOR and TERM do not refuse it."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.isatty(_descriptor or sys.stderr.fileno())
    return False


def _renderers(log_format: str) -> list[Any]:
    if log_format == "json":
        return [_put_first, structlog.processors.JSONRenderer(serializer=_encode)]
    console = structlog.dev.ConsoleRenderer(
        colors=uses_colours(),
        timestamp_key="time",
        pad_event_to=EVENT_WIDTH,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_for_people, console]


def configure(level: str, log_format: str = "json") -> None:
    """Log everything from ``level`` up to standard error, one line an event.

    Args:
        level: the name of the lowest level that is logged.
        log_format: ``json``, or ``text`` for people.
    """
    is_json = log_format == "json"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="iso" if is_json else "%Y-%m-%d %H:%M:%S", utc=is_json, key="time"
            ),
            _add_worker,
            _add_stack_frames,
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _BestEffortStderr())),
        cache_logger_on_first_use=True,
    )


class _Forwarder(logging.Handler):
    """Logs what libraries log with the standard library's ``logging``.

    Their message is the event, and ``logger`` names the library. Only its first line is taken:
    asyncio adds the exception's message below it, and the arguments of a callback behind its name.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - its arguments do not fit its text
            message = str(record.msg)
        level = next(name for number, name in _LEVELS if record.levelno >= number)
        error = record.exc_info[1] if record.exc_info else None
        first_line = message.strip().partition("\n")[0]
        if first_line.startswith("Exception in callback"):
            first_line = first_line.partition("(")[0]
        getattr(log, level)(first_line, logger=record.name, exc_info=error)


def capture_all(level: str, *, worker: int = 0) -> None:
    """Let everything that this process would write to standard error become lines of the log.

    That is what libraries log, Python's warnings, and exceptions that no one catches.

    Args:
        level: the name of the lowest level of a library's line that is logged.
        worker: the number of this worker process, for its lines; 0: it is none.
    """
    global _worker  # noqa: PLW0603 - as the loggers, it belongs to the process
    _worker = worker
    logging.basicConfig(level=level.upper(), handlers=[_Forwarder()], force=True)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _, error, __: log.critical("bug", exc_info=error)
    sys.unraisablehook = lambda raised: log.error("bug", exc_info=raised.exc_value)
    threading.excepthook = lambda raised: log.error(
        "bug", thread=raised.thread.name if raised.thread else "", exc_info=raised.exc_value
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
