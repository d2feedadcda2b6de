"""Command line options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import report, wrk
from benchmarks.repetitions import MeasurementOptions
from benchmarks.scenarios import BY_KEY

DRAGOMAN_TARGETS = ("postgresql", "sqlite")
PEERS = ("django", "fastapi", "better-auth")
TARGETS = (*DRAGOMAN_TARGETS, *PEERS, "baselines")
UNDER_LOAD = ("sign-ins", "search", "overload")
QUICK: dict[str, Any] = {
    "users": [1000], "workers": [1], "connections": [4], "seconds": 0.5, "warm_up": 0.1,
    "repetitions": 1, "load_py": True,
}  # fmt: skip
FULL: dict[str, Any] = {"workers": [1, 2], "connections": [32, 128]}


def parse() -> argparse.Namespace:
    """Parse the command line; exits if it is invalid."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="smoke test; its figures mean nothing")
    add(
        "--full",
        action="store_true",
        help="the whole matrix: 1 and 2 workers, 32 and 128 connections",
    )
    add("--users", type=int, nargs="+", default=[1000, 1_000_000], help="numbers of users")
    add("--workers", type=int, nargs="+", default=[2], help="worker processes of each server")
    add(
        "--connections", type=int, nargs="+", default=[32], help="connections of the load generator"
    )
    add("--seconds", type=float, default=4.0, help="duration of a measurement")
    add("--warm-up", type=float, default=1.0, help="seconds before each measurement")
    add("--repetitions", type=int, default=3, help="measurements of each scenario and target")
    add("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    add("--scenarios", nargs="+", choices=list(BY_KEY), default=list(BY_KEY))
    add(
        "--under-load",
        nargs="*",
        choices=UNDER_LOAD,
        default=list(UNDER_LOAD),
        help="what is measured under load",
    )
    add("--only", choices=("import",), help="measure imports alone, of the largest number of users")
    add("--load-py", action="store_true", help="use load.py instead of wrk")
    add(
        "--output", type=Path, default=report.LATEST, help="JSON file; the PNG is written beside it"
    )
    known, _ = parser.parse_known_args()
    parser.set_defaults(**(FULL if known.full else {}), **(QUICK if known.quick else {}))
    options = parser.parse_args()
    options.users = sorted(set(options.users))
    options.workers = sorted(set(options.workers))
    options.connections = sorted(set(options.connections))
    return options


def measurement_options(options: argparse.Namespace) -> MeasurementOptions:
    """Return the measurement options; wrk is used if it is available and not switched off."""
    return MeasurementOptions(
        seconds=options.seconds,
        warm_up=options.warm_up,
        repetitions=options.repetitions,
        wrk=not options.load_py and bool(wrk.wrk_command()),
    )
