"""The number of hashing threads: one per core, shared by the workers."""

from __future__ import annotations

import os

import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.settings import Settings


@pytest.mark.parametrize(
    ("cores", "workers", "set_to", "threads"),
    [(8, 1, 0, 8), (8, 2, 0, 4), (8, 3, 0, 2), (2, 2, 0, 1), (2, 4, 0, 1), (None, 1, 0, 1), (8, 2, 3, 3)],
)  # fmt: skip
def test_threads(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int, set_to: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    settings = Settings(hash_threads=set_to)
    directory = Directory(app.driver_for(settings), settings, workers=workers)
    try:
        assert directory.password_hasher._pool._max_workers == threads
    finally:
        directory.password_hasher.close()
