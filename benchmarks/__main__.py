"""`make bench`: Dragoman on both databases, its peers and bare baselines, in one run."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import asyncpg
import msgspec

from benchmarks import (
    chart,
    dragoman_target,
    imports,
    options,
    repetitions,
    report,
    scenarios,
    servers,
    targets,
    under_load,
)
from benchmarks.baselines import copy_rate, hash_rate
from benchmarks.baselines import target as baselines
from benchmarks.better_auth import target as better_auth
from benchmarks.data import Dataset
from benchmarks.django_peer import target as django
from benchmarks.fastapi_peer import target as fastapi
from benchmarks.repetitions import Conditions, MeasuredTarget, MeasurementOptions, Result
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import FilledDatabase, Target, UnreadyError
from benchmarks.targets import Findings
from tests.support.postgresql import PostgreSQL

PEERS = {
    "django": django.filled_target,
    "fastapi": fastapi.filled_target,
    "better-auth": better_auth.filled_target,
}
START_ERRORS = (UnreadyError, OSError, subprocess.SubprocessError, asyncpg.PostgresError)


class AnswerMismatchError(Exception):
    """Targets gave wrong or different answers; nothing is measured."""


def main() -> int:
    """Measure, print and write the results; return 1 if a request failed or answers differ."""
    asked = options.parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes are ended
    if asked.only == "import":
        return _measure_imports(asked)
    pace = options.measurement_options(asked)
    generator = "wrk" if pace.wrk else "benchmarks/load.py"
    _log(f"load generator: {generator}")
    findings, results = Findings(), list[Result]()
    server = servers.postgresql()
    try:
        _measure(asked, pace, server, findings, results)
    except AnswerMismatchError as error:
        print(f"Wrong answers:\n{error}", file=sys.stderr)
        return 1
    finally:
        server.stop()
    conditions = {**vars(asked), "output": str(asked.output), "generator": generator}
    report.show(results, findings, conditions)
    report.write(results, findings, conditions, asked.output)
    if drawn := chart.draw(results, asked.output.with_suffix(".png")):
        print(f"Written: {asked.output}, {drawn}")
    silent = any(not result.rate for result in results if result.target in targets.DRAGOMAN_TARGETS)
    return int(silent or any(result.failures for result in results))


def _measure_imports(arguments: argparse.Namespace) -> int:
    """Measure imports alone; return 1 if the directory was wrong afterwards."""
    server = servers.postgresql()
    try:
        results = imports.measure(arguments.users[-1], arguments.targets, server, _log)
    finally:
        server.stop()
    imports.show(results)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.with_name("imports.json").write_bytes(msgspec.json.encode(results))
    return int(not all(result.exact for result in results))


def _measure(
    arguments: argparse.Namespace,
    pace: MeasurementOptions,
    server: PostgreSQL,
    findings: Findings,
    results: list[Result],
) -> None:
    """Fill databases of all sizes, then measure them in turns, so that sizes can be compared."""
    with ExitStack() as stack:
        places: list[tuple[Dataset, FilledDatabase]] = []
        for users in reversed(arguments.users):
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-bench-"))
            )
            is_largest = users == arguments.users[-1]
            filled = _fill(
                arguments, Dataset(users), folder, stack, server, findings, is_largest=is_largest
            )
            places += [(Dataset(users), place) for place in filled]
        names = list(dict.fromkeys(place.name for _, place in places))
        places.sort(key=lambda each: names.index(each[1].name))  # all sizes of a target together
        for workers in arguments.workers:
            _measure_targets(arguments, pace, places, workers, findings, results)


def _fill(
    arguments: argparse.Namespace,
    dataset: Dataset,
    folder: Path,
    stack: ExitStack,
    server: PostgreSQL,
    findings: Findings,
    *,
    is_largest: bool,
) -> list[FilledDatabase]:
    """Fill every database once; report and leave out what cannot be filled."""
    makers: dict[str, Callable[[Path], AbstractContextManager[FilledDatabase]]] = {
        "postgresql": lambda folder: dragoman_target.postgresql_target(dataset, folder, server),
        "sqlite": lambda folder: dragoman_target.sqlite_target(dataset, folder),
    }
    for name, filled in PEERS.items() if is_largest else ():
        makers[name] = lambda folder, filled=filled: filled(dataset, folder, server)
    places: list[FilledDatabase] = []
    for name in (name for name in makers if name in arguments.targets):
        _log(f"{name}: loading {dataset.users:,} users")
        place = folder / name
        place.mkdir()
        try:
            filled_place = stack.enter_context(makers[name](place))
        except START_ERRORS as error:
            if name in options.DRAGOMAN_TARGETS:
                raise
            findings.missing[name] = str(error)
            _log(f"{name}: left out: {error}")
            continue
        places.append(filled_place)
        findings.record("filled_s", filled_place.name, dataset.users, filled_place.filled_s)
        if name in options.DRAGOMAN_TARGETS and is_largest and "baselines" in arguments.targets:
            places += baselines.baseline_places(filled_place, place)
        if name == "postgresql" and is_largest:
            findings.copy_rate = copy_rate.rate(filled_place.database)
    return places


def _measure_targets(
    arguments: argparse.Namespace,
    pace: MeasurementOptions,
    places: list[tuple[Dataset, FilledDatabase]],
    workers: int,
    findings: Findings,
    results: list[Result],
) -> None:
    """Start every target, compare their answers, measure them in turns."""
    last = workers == arguments.workers[-1]
    with ExitStack() as stack:
        targets: list[tuple[Dataset, Target]] = []
        for dataset, place in places:
            try:
                targets.append((dataset, stack.enter_context(place.serve(workers))))
            except START_ERRORS as error:
                if place.request_family == "dragoman":
                    raise
                findings.missing[place.name] = str(error)
                _log(f"{place.name}: left out: {error}")
        for dataset, target in targets:
            if target.request_family == "dragoman":
                findings.record("ready_s", target.name, dataset.users, target.ready_s)
                idle = servers.worker_memory_mb(target.pid, workers)
                findings.record("idle_mb", target.name, dataset.users, max(idle, default=0.0))
        if workers == arguments.workers[0]:  # later the data differs, because scenarios write
            _compare(arguments, targets)

        def before(scenario: Scenario, measured_target: MeasuredTarget) -> None:
            for _, place in places:
                if place.database.startswith("postgresql:"):
                    servers.wait_until_idle(place.database)
                    break
            if (
                last
                and measured_target.target.request_family == "dragoman"
                and measured_target.conditions.users == arguments.users[-1]
            ):
                findings.measure_hashes(
                    scenario.key,
                    measured_target.target.name,
                    lambda n: hash_rate.hashes_per_second(pace.seconds, n),
                )

        measured_targets: list[MeasuredTarget] = []
        for connections in arguments.connections:
            _log(f"{workers} workers, {connections} connections")
            measured_targets = [
                MeasuredTarget(
                    target=target,
                    dataset=dataset,
                    conditions=Conditions(
                        users=dataset.users, workers=workers, connections=connections
                    ),
                    scenarios={scenario.key for scenario in _scenarios_for(arguments, dataset)},
                )
                for dataset, target in targets
            ]
            results += repetitions.measure(pace, measured_targets, _log, before)
        for measured_target in measured_targets if last else ():
            if (
                measured_target.target.request_family == "dragoman"
                and measured_target.dataset.users == arguments.users[-1]
            ):
                under_load.measure(arguments.under_load, pace, measured_target, findings, _log)
                after = servers.worker_memory_mb(measured_target.target.pid, workers)
                findings.record(
                    "after_mb",
                    measured_target.target.name,
                    measured_target.conditions.users,
                    max(after, default=0.0),
                )


def _scenarios_for(arguments: argparse.Namespace, dataset: Dataset) -> list[Scenario]:
    """Return the scenarios of a size: all for the largest, else those with a target for growth."""
    whole = dataset.users == arguments.users[-1]
    wanted = (
        arguments.scenarios
        if whole or arguments.full
        else set(arguments.scenarios) & set(targets.GROWING)
    )
    return [scenario for scenario in SCENARIOS if scenario.key in wanted]


def _compare(arguments: argparse.Namespace, targets: list[tuple[Dataset, Target]]) -> None:
    """Raise AnswerMismatchError if targets with the same data answer differently."""
    sizes = {dataset.users: dataset for dataset, _ in targets}
    unlike = [
        difference
        for users, dataset in sizes.items()
        for scenario in _scenarios_for(arguments, dataset)
        for difference in scenarios.differences(
            scenario, dataset, [target for its, target in targets if its.users == users]
        )
    ]
    if unlike:
        raise AnswerMismatchError("\n".join(unlike[:10]))


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
