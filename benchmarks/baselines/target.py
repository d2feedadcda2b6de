"""The bare applications as targets: over the very databases of ours, with its credentials."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

from benchmarks import dragoman_target
from benchmarks.servers import FilledDatabase, Target, serving
from dragoman.settings import Settings
from tests.support.server import free_port

HOME = Path(__file__).parents[2]
NAMES = {
    "prepared": "floor: prepared reads",
    "gathered": "floor: gathered reads",
    "sqlite": "floor: SQLite, direct reads",
}


def baseline_places(place: FilledDatabase, folder: Path) -> list[FilledDatabase]:
    """Return the floors under one of our databases."""
    kinds = ("sqlite",) if place.database.startswith("sqlite") else ("gathered", "prepared")
    return [_place(baseline, place.database, folder) for baseline in kinds]


def _place(baseline: str, url: str, folder: Path) -> FilledDatabase:
    @contextlib.contextmanager
    def serve(workers: int) -> Generator[Target]:
        settings = Settings(database=url, secret_key=dragoman_target.SECRET_KEY)
        tokens = asyncio.run(dragoman_target.credentials(settings))
        port = free_port()
        command = [
            sys.executable, "-m", "granian", "benchmarks.baselines.app:application",
            "--interface", "asgi", "--http", "1", "--no-ws", "--port", str(port),
            "--workers", str(workers), "--loop", "uvloop", "--log-level", "warning",
        ]  # fmt: skip
        environment = {"FLOOR_KIND": baseline, "FLOOR_DATABASE": url, "PYTHONPATH": str(HOME)}
        place = folder / baseline
        place.mkdir(exist_ok=True)
        with serving(command, environment, place, port) as (pid, ready_s):
            yield Target(NAMES[baseline], "floor", f"http://127.0.0.1:{port}", pid, ready_s, tokens)

    return FilledDatabase(NAMES[baseline], "floor", url, 0.0, serve)
