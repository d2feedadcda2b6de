"""Files that get their name when they are complete, and that only their owner can read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def complete_file(path: Path) -> Generator[BinaryIO]:
    """Open ``path.part`` for writing; it becomes ``path`` when the block ends without an error.

    What was at the path before is replaced at once, and stays if there is an error. The file is
    on the disk when the block has ended, and nothing is left of it after an error. A path that is
    there and no regular file, such as a pipe or ``/dev/null``, is written to as it is.

    Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    part = part_path(path)
    part.unlink(missing_ok=True)  # of a process that was killed
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def part_path(path: Path) -> Path:
    """Return where a file is until it is complete."""
    return path.with_name(f"{path.name}.part")


def sync_folder(folder: Path) -> None:
    """Write the names of a folder to the disk, so that a new one survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
