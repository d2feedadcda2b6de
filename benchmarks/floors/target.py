"""The bare applications as targets: over the very databases of ours, with its credentials."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

from benchmarks import ours
from benchmarks.servers import Place, Target, serving
from dragoman.settings import Settings
from tests.support.server import free_port

HOME = Path(__file__).parents[2]
NAMES = {
    "prepared": "floor: prepared reads",
    "gathered": "floor: gathered reads",
    "sqlite": "floor: SQLite, direct reads",
}


def places(place: Place, folder: Path) -> list[Place]:
    """Return the floors under one of our databases."""
    kinds = ("sqlite",) if place.database.startswith("sqlite") else ("gathered", "prepared")
    return [_place(kind, place.database, folder) for kind in kinds]


def _place(kind: str, url: str, folder: Path) -> Place:
    @contextlib.contextmanager
    def serve(workers: int) -> Generator[Target]:
        settings = Settings(database=url, secret_key=ours.SECRET_KEY)
        tokens = asyncio.run(ours.credentials(settings))
        port = free_port()
        command = [
            sys.executable, "-m", "granian", "benchmarks.floors.app:application",
            "--interface", "asgi", "--http", "1", "--no-ws", "--port", str(port),
            "--workers", str(workers), "--loop", "uvloop", "--log-level", "warning",
        ]  # fmt: skip
        environment = {"FLOOR_KIND": kind, "FLOOR_DATABASE": url, "PYTHONPATH": str(HOME)}
        place = folder / kind
        place.mkdir(exist_ok=True)
        with serving(command, environment, place, port) as (pid, ready_s):
            yield Target(NAMES[kind], "floor", f"http://127.0.0.1:{port}", pid, ready_s, tokens)

    return Place(NAMES[kind], "floor", url, 0.0, serve)
