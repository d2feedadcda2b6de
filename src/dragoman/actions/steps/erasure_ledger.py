"""The ledger of erasures: a file outside the database, replayed when a backup is restored.

Each line is a public id and the time of the erasure. It holds no personal data, so that it can be
kept apart from the backups, and longer. Several processes may append to it at once.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dragoman.actions.transfer.output_file import sync_folder
from dragoman.rules.errors import Unavailable
from dragoman.rules.model import SECOND

COMPONENT = "ledger of erasures"
"""What ``Unavailable`` names if the file cannot be written."""
LINE = re.compile(r"(?P<public_id>\S{1,64}) (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
MAX_LINE = 256
"""Maximum length of a line that is read, in bytes."""


class UnreadableLedger(Exception):
    """A line of a ledger is not one; a last line without a line break counts as not written."""

    def __init__(self, path: Path, line: int) -> None:
        super().__init__(f"{path}, line {line}: not a line of a ledger of erasures")


def append(path: Path, public_ids: Sequence[str], at: int) -> None:
    """Append a line for each public id and sync it to the disk; ``at`` is in microseconds.

    Raises Unavailable if that fails: then nobody may be erased.
    """
    time = datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = "".join(f"{public_id} {time}\n" for public_id in public_ids)
    try:
        _append_durably(path, text.encode())
    except OSError as error:
        raise Unavailable(COMPONENT) from error


def _append_durably(path: Path, data: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data  # ends a line that was cut off when the disk was full
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def read(path: Path) -> Iterator[tuple[str, int]]:
    """Yield public id and time (microseconds) of each erasure in a ledger.

    Raises:
        OSError: the file cannot be read.
        UnreadableLedger: a line is damaged. A line that was cut off is skipped: the erasure that
            it belongs to was refused.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            found = LINE.fullmatch(line.rstrip(b"\r\n").decode("ascii", errors="replace"))
            if found is not None:
                at = datetime.fromisoformat(found["at"])
                yield found["public_id"], int(at.timestamp()) * SECOND
            elif line.strip() and not _is_cut_off(line):
                raise UnreadableLedger(path, number)


def public_ids(path: Path) -> set[str]:
    """Return the public ids in a ledger; none if there is no such file. Raises as ``read``."""
    return {public_id for public_id, _ in read(path)} if path.exists() else set()


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line is the beginning of a right one."""
    return re.fullmatch(rb"[A-Za-z0-9_]{1,64}( [0-9TZ:-]{0,19})?\r?\n?", line) is not None
