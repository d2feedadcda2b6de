"""Standard input and pipes as files: an import reads its file more than once."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.records import FileOptions
from dragoman.cli.errors import ERROR, CliError

STDIN = "-"
BLOCK_BYTES = 1024 * 1024
FIRST_LOOK_BYTES = 4 * BLOCK_BYTES
"""Bytes after which the file is looked at once, so that other input does not fill the disk."""
SIGNAL_CHECK_S = 1.0
"""How often a program that waits for its input looks whether it is to end, in seconds."""
MIN_FREE_BYTES = 256 * 1024 * 1024
"""Space on the disk that is left to others."""


@contextlib.contextmanager
def regular_file(file: str, options: FileOptions) -> Generator[Path]:
    """Give the path of a regular file with the content of a file, a pipe or standard input.

    A pipe or device is copied to a private file in ``TMPDIR`` (mode 0600), which is
    removed at the end.

    Args:
        file: a path, or ``-`` for standard input.
        options: how the file is read.

    Raises:
        FileProblem: it has no end, or cannot be read.
        CliError: the disk is almost full.
        OSError: it cannot be read or copied.
    """
    path = Path(file)
    if file != STDIN and (path.is_file() or not path.exists() or path.is_dir()):
        yield path
        return
    with _ended_by_exception(), tempfile.TemporaryDirectory(prefix="dragoman-") as folder:
        copy = Path(folder, "input")
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as target:
            if file == STDIN:
                _copy(sys.stdin.buffer, target, copy, options)
            else:
                with path.open("rb", buffering=0) as source:
                    _copy(source, target, copy, options)
        yield copy


@contextlib.contextmanager
def _ended_by_exception() -> Generator[None]:
    """Let SIGTERM end the program as an exception does: the copy holds hashes of passwords."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _copy(source: BinaryIO, target: BinaryIO, path: Path, options: FileOptions) -> None:
    size, is_looked_at = 0, False
    for block in _blocks(source):
        target.write(block)
        size += len(block)
        if size >= FIRST_LOOK_BYTES and not is_looked_at:
            is_looked_at = True
            _look_at(path, options)
        if shutil.disk_usage(path.parent).free < MIN_FREE_BYTES:
            mebibytes = size // (1024 * 1024)
            raise CliError(
                ERROR,
                f"the input has more than {mebibytes} MiB, and the disk of {path.parent.parent} "
                "is almost full (TMPDIR names another folder)",
            )


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield what a stream holds.

    A read that waits for more looks at signals only if one interrupts it: one that came just
    before would wait as long. So it is not begun before there is something to read.
    """
    try:
        descriptor = source.fileno()
    except OSError:  # not a stream of the operating system
        yield from iter(lambda: source.read(BLOCK_BYTES), b"")
        return
    while True:
        while not select.select([descriptor], [], [], SIGNAL_CHECK_S)[0]:
            pass
        if not (block := os.read(descriptor, BLOCK_BYTES)):
            return
        yield block


def _look_at(path: Path, options: FileOptions) -> None:
    """Raise FileProblem if the beginning of the file cannot be imported, such as zeros."""
    source = open_records(path, options, list_paths=("",))
    if source.format != "json":  # a list may begin later than this
        next(iter(source), None)
