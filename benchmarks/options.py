"""What can be chosen on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import report, wrk
from benchmarks.repetitions import MeasurementOptions
from benchmarks.scenarios import BY_KEY

DRAGOMAN_TARGETS = ("postgresql", "sqlite")
PEERS = ("django", "fastapi", "better-auth")
TARGETS = (*DRAGOMAN_TARGETS, *PEERS, "floors")
EXTRAS = ("sign-ins", "search", "overload")
QUICK: dict[str, Any] = {
    "users": [1000], "workers": [1], "connections": [4], "seconds": 0.5, "warm_up": 0.1,
    "repetitions": 1, "load_py": True,
}  # fmt: skip
FULL: dict[str, Any] = {"workers": [1, 2], "connections": [32, 128]}


def parse() -> argparse.Namespace:
    """Read the command line; ends the program where it says what cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run of seconds: its figures say nothing")
    add(
        "--full",
        action="store_true",
        help="the whole matrix: 1 and 2 workers, 32 and 128 connections",
    )
    add("--users", type=int, nargs="+", default=[1000, 1_000_000], help="sizes of the directory")
    add("--workers", type=int, nargs="+", default=[2], help="processes of each server")
    add("--connections", type=int, nargs="+", default=[32])
    add("--seconds", type=float, default=4.0, help="of one measurement")
    add("--warm-up", type=float, default=1.0, help="seconds before each")
    add("--repetitions", type=int, default=3)
    add("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    add("--scenarios", nargs="+", choices=list(BY_KEY), default=list(BY_KEY))
    add("--extras", nargs="*", choices=EXTRAS, default=list(EXTRAS), help="what is done under load")
    add("--load-py", action="store_true", help="load by load.py instead of wrk")
    add("--output", type=Path, default=report.LATEST, help="the JSON file; the PNG lies beside it")
    known, _ = parser.parse_known_args()
    parser.set_defaults(**(FULL if known.full else {}), **(QUICK if known.quick else {}))
    options = parser.parse_args()
    options.users = sorted(set(options.users))
    options.workers = sorted(set(options.workers))
    options.connections = sorted(set(options.connections))
    return options


def measurement_options(options: argparse.Namespace) -> MeasurementOptions:
    """Return how is measured; wrk where it can be had and nobody forbids it."""
    return MeasurementOptions(
        seconds=options.seconds,
        warm_up=options.warm_up,
        repetitions=options.repetitions,
        wrk=not options.load_py and bool(wrk.wrk_command()),
    )
