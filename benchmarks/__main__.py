"""`make bench`: the directory on both databases beside Django REST framework, in one run."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import load, ours, peer, report, scenarios, servers, wrk
from benchmarks.data import Dataset
from benchmarks.report import Result
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import Target

TARGETS = ("sqlite", "postgresql", "django")
QUICK: dict[str, Any] = {
    "users": 1000, "seconds": 0.5, "warm_up": 0.1, "repetitions": 1, "connections": 4,
}  # fmt: skip


def main() -> int:
    """Measure, print, write; 1 if any request failed or the targets' answers differ."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then too
    dataset = Dataset(options.users)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-bench-")))
        targets = _start(options, dataset, folder, stack)
        unlike = [d for s in SCENARIOS for d in scenarios.differences(s, dataset, targets)]
        if unlike:
            print("The targets do not answer alike:", *unlike[:10], sep="\n", file=sys.stderr)
            return 1
        results = _measure(options, dataset, targets)
    conditions = {
        **vars(options),
        "output": str(options.output),
        "generator": "wrk" if options.wrk else "benchmarks/load.py",
    }
    report.show(results, peer.NAME, conditions)
    report.write(results, conditions, options.output)
    return int(any(result.failures or not result.rate for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2, help="processes of each server")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--wrk", action="store_true", help="load by wrk, from Debian's package")
    parser.add_argument("--output", type=Path, default=report.LATEST, help="the JSON file")
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures say nothing")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    if options.wrk and not wrk.found():
        parser.error("wrk is not installed (apt install wrk)")
    return options


def _start(
    options: argparse.Namespace, dataset: Dataset, folder: Path, stack: ExitStack
) -> list[Target]:
    """Fill and start every target, each in a folder of its own; they idle while not asked."""
    server = servers.postgresql()
    stack.callback(server.stop)
    started: list[Target] = []
    for name in options.targets:
        place = folder / name
        place.mkdir()
        _say(f"{name}: filling {options.users:,} users in and starting the server")
        if name == "sqlite":
            target = ours.on_sqlite(dataset, place, options.workers)
        elif name == "postgresql":
            target = ours.on_postgresql(dataset, place, options.workers, server)
        else:
            target = peer.django(dataset, place, options.workers, server)
        started.append(stack.enter_context(target))
    return started


def _measure(options: argparse.Namespace, dataset: Dataset, targets: list[Target]) -> list[Result]:
    """Ask every target in turn, over and over, so that what disturbs one disturbs all."""
    runs: dict[tuple[str, str], list[load.Measured]] = {}
    for repetition in range(options.repetitions):
        for scenario in SCENARIOS:
            _say(f"{scenario.name} ({repetition + 1} of {options.repetitions})")
            first = repetition % len(targets)
            for target in targets[first:] + targets[:first]:
                measured = _watched(options, scenario, dataset, target)
                runs.setdefault((scenario.name, target.name), []).append(measured)
    return [
        Result(scenario=scenario.name, target=target.name, runs=runs[scenario.name, target.name])
        for scenario in SCENARIOS
        for target in targets
    ]


def _watched(
    options: argparse.Namespace, scenario: Scenario, dataset: Dataset, target: Target
) -> load.Measured:
    before = servers.worked(target.pid)
    measured = _ask(options, scenario, dataset, target)
    took = max(0.0, servers.worked(target.pid) - before)
    each = round(took / max(1, measured.answered) * 1e6, 1)
    return msgspec.structs.replace(measured, server_us=each)


def _ask(
    options: argparse.Namespace, scenario: Scenario, dataset: Dataset, target: Target
) -> load.Measured:
    plan = load.Plan(
        url=target.url,
        token=target.tokens[scenario.caller],
        paths=scenario.paths(dataset),
        connections=options.connections,
        seconds=options.seconds,
        warm_up=options.warm_up,
    )
    if options.wrk:
        return wrk.measure(plan)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        check=True,
        timeout=plan.warm_up + plan.seconds + load.GRACE_S + 20,
    )
    return msgspec.json.decode(done.stdout, type=load.Measured)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
