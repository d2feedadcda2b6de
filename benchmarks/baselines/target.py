"""The bare applications as targets, on Dragoman's databases and with its credentials."""

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
    "prepared": "baseline: prepared reads",
    "batched": "baseline: batched reads",
    "sqlite": "baseline: SQLite, direct reads",
}


def baseline_places(place: FilledDatabase, folder: Path) -> list[FilledDatabase]:
    """Return the baselines for one of Dragoman's databases."""
    kinds = ("sqlite",) if place.database.startswith("sqlite") else ("batched", "prepared")
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
        environment = {"BASELINE_KIND": baseline, "BASELINE_DATABASE": url, "PYTHONPATH": str(HOME)}
        place = folder / baseline
        place.mkdir(exist_ok=True)
        with serving(command, environment, place, port) as (pid, ready_s):
            yield Target(
                NAMES[baseline], "baseline", f"http://127.0.0.1:{port}", pid, ready_s, tokens
            )

    return FilledDatabase(NAMES[baseline], "baseline", url, 0.0, serve)
