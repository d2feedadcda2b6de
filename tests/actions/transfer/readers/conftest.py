"""Files of any content, and their records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dragoman.actions.transfer.readers.detect import open_records
from dragoman.actions.transfer.records import FileOptions, Record, RecordSource

Open = Callable[..., RecordSource]
ReadAll = Callable[..., list[Record]]


@pytest.fixture
def open_file(tmp_path: Path) -> Open:
    """Return a function that writes a file and opens it; keywords are ``FileOptions``."""

    def open_(content: bytes | str, list_paths: tuple[str, ...] = (), **options) -> RecordSource:
        path = tmp_path / "people"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_records(path, FileOptions(**options), list_paths=list_paths)

    return open_


@pytest.fixture
def read(open_file: Open) -> ReadAll:
    """Return a function that writes a file and returns its records."""
    return lambda content, *args, **options: list(open_file(content, *args, **options))
