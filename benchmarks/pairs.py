"""Compares two checkouts of Dragoman in pairs of measurements: `python -m benchmarks.pairs OLD NEW`.

Both serve the same users at the same time, each from its own database, with one worker. They are
measured in turns, and which of them comes first changes from pair to pair. The ratio of each pair
compares measurements of the same seconds; the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import servers, wrk
from benchmarks.data import Dataset
from benchmarks.load import LoadPlan, Measurement
from benchmarks.repetitions import measure_with_cpu
from benchmarks.scenarios import BY_KEY
from benchmarks.servers import Target, UnreadyError

DATABASES = ("sqlite", "postgresql")
SCENARIOS = ("retrieve", "list", "sign-in")
SERVER = Path(__file__).with_name("pairs_server.py")
FILL_S = 600
"""Maximum time to fill a database and to end its server (seconds)."""
HEADINGS = ("database", "scenario", "old/s", "new/s", "new/old", "old CPU µs", "new CPU µs", "new/old")  # fmt: skip

Pair = tuple[Measurement, Measurement]
"""A measurement of the old checkout, and one of the new."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__)
    add = parser.add_argument
    add("old", type=Path, help="checkout to compare with")
    add("new", type=Path, help="checkout to judge")
    add("--seconds", type=float, default=4.0, help="duration of a measurement")
    add("--pairs", type=int, default=9, help="pairs of measurements of each scenario")
    add("--users", type=int, default=10_000, help="number of users")
    add("--connections", type=int, default=32, help="connections of the load generator")
    add("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    add("--scenarios", nargs="+", choices=list(BY_KEY), default=list(SCENARIOS))
    return parser.parse_args()


@contextlib.contextmanager
def _serving(
    checkout: Path, database: str, users: int, environment: Mapping[str, str]
) -> Generator[Target]:
    """Run the server of a checkout on a new database.

    It runs with the interpreter of the checkout's environment, or with this one if it has none.
    """
    checkout = checkout.resolve()
    python = checkout / ".venv" / "bin" / "python"
    path = os.pathsep.join((str(checkout / "src"), str(checkout)))
    process = subprocess.Popen(
        [
            str(python) if python.exists() else sys.executable,
            "-P",
            str(SERVER),
            database,
            str(users),
        ],
        cwd=checkout,
        env={**os.environ, **environment, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise UnreadyError(f"{checkout} does not serve {database}; see above")
        described: dict[str, Any] = json.loads(line)
        yield Target(str(checkout), "dragoman", ready_s=0.0, **described)
    finally:
        process.stdin.close()
        process.wait(FILL_S)


def _measure(asked: argparse.Namespace, database: str, both: tuple[Target, Target]) -> None:
    dataset, by_wrk = Dataset(asked.users), bool(wrk.wrk_command())
    for key in asked.scenarios:
        scenario = BY_KEY[key]

        def measure(target: Target) -> Measurement:
            plan = LoadPlan(
                url=target.url,
                requests=scenario.requests_for["dragoman"](dataset, target.tokens),  # noqa: B023
                connections=scenario.connections or asked.connections,  # noqa: B023
                seconds=asked.seconds,
                warm_up=0.0,
                status=scenario.status,  # noqa: B023
            )
            measured = measure_with_cpu(plan, target, by_wrk=by_wrk)
            if measured.failures or not measured.requests:
                raise UnreadyError(f"{target.name}: {measured.failures or 'no answers'}")
            return measured

        for target in both:  # so that plans, caches and connections are warm
            measure(target)
        pairs = [_pair(measure, both, swapped=bool(n % 2)) for n in range(asked.pairs)]
        print(_row(database, key, pairs), flush=True)


def _pair(measure: Any, both: tuple[Target, Target], *, swapped: bool) -> Pair:
    old, new = both
    if swapped:
        measured_new = measure(new)
        return measure(old), measured_new
    return measure(old), measure(new)


def _row(database: str, scenario: str, pairs: list[Pair]) -> str:
    rates = [median(each.rate for each in side) for side in zip(*pairs, strict=True)]
    cpu = [median(each.server_us for each in side) for side in zip(*pairs, strict=True)]
    rate_ratio = median(new.rate / old.rate for old, new in pairs)
    cpu_ratio = median(new.server_us / max(old.server_us, 0.1) for old, new in pairs)
    cells = (
        database, scenario, f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", f"{rate_ratio:.3f}",
        f"{cpu[0]:,.1f}", f"{cpu[1]:,.1f}", f"{cpu_ratio:.3f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure, and print a table of medians."""
    asked = _parse()
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    server = servers.postgresql()
    try:
        for database in asked.databases:
            environment = {servers.VARIABLE: server.url()} if database == "postgresql" else {}
            with (
                _serving(asked.old, database, asked.users, environment) as old,
                _serving(asked.new, database, asked.users, environment) as new,
            ):
                _measure(asked, database, (old, new))
    except UnreadyError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
