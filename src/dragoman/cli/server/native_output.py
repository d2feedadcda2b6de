"""Turns what native code writes to standard error into lines of the log.

The log's own lines go past this. What remains are the last words of an interpreter that crashes, of
Granian's Rust code, and of the allocator; they know nothing of our format.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator

from dragoman.web import logs
from dragoman.web.logs import log

STDERR = 2
LAST_WORDS_S = 1.0
"""Time to log what is left at the end (seconds)."""


@contextlib.contextmanager
def log_native_output() -> Generator[None]:
    """Log what this process and those forked from it write to standard error, for a block."""
    try:
        original = os.dup(STDERR)
    except OSError:  # it is closed: there is no log either
        yield
        return
    reader, writer = os.pipe()
    os.dup2(writer, STDERR)
    os.close(writer)
    logs.write_to(original)
    thread = threading.Thread(target=_log_lines, args=(reader,), name="stderr", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(original, STDERR)
        logs.write_to(STDERR)
        thread.join(LAST_WORDS_S)  # it ends with the last process that has the pipe open
        os.close(original)


def _log_lines(reader: int) -> None:
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            text = line.decode("utf-8", "backslashreplace").strip()
            if text:
                log.error("stderr", text=text)
