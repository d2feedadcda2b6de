"""`make bench`: the directory on both databases beside its peers and its floors, in one run."""

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

from benchmarks import (
    chart,
    dragoman_target,
    options,
    repetitions,
    report,
    scenarios,
    servers,
    targets,
    under_load,
)
from benchmarks.baselines import copy_rate, hash_rate
from benchmarks.baselines import target as floors
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
    """Targets that do not answer as they should, or not alike; nothing is measured then."""


def main() -> int:
    """Measure, print, write; 1 if any request failed or the targets' answers differ."""
    asked = options.parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then too
    pace = options.measurement_options(asked)
    generator = "wrk" if pace.wrk else "benchmarks/load.py"
    _log(f"load by {generator}")
    facts, results = Findings(), list[Result]()
    server = servers.postgresql()
    try:
        _measure(asked, pace, server, facts, results)
    except AnswerMismatchError as error:
        print(f"Answers are not as they should be:\n{error}", file=sys.stderr)
        return 1
    finally:
        server.stop()
    conditions = {**vars(asked), "output": str(asked.output), "generator": generator}
    report.show(results, facts, conditions)
    report.write(results, facts, conditions, asked.output)
    if drawn := chart.draw(results, asked.output.with_suffix(".png")):
        print(f"Written: {asked.output}, {drawn}")
    silent = any(not result.rate for result in results if result.target in targets.DRAGOMAN_TARGETS)
    return int(silent or any(result.failures for result in results))


def _measure(
    arguments: argparse.Namespace,
    pace: MeasurementOptions,
    server: PostgreSQL,
    facts: Findings,
    results: list[Result],
) -> None:
    """Fill every size, then measure all of them in turns: what grows is seen in the same minute."""
    with ExitStack() as stack:
        places: list[tuple[Dataset, FilledDatabase]] = []
        for users in reversed(arguments.users):
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-bench-"))
            )
            is_largest = users == arguments.users[-1]
            filled = _fill(
                arguments, Dataset(users), folder, stack, server, facts, is_largest=is_largest
            )
            places += [(Dataset(users), place) for place in filled]
        names = list(dict.fromkeys(place.name for _, place in places))
        places.sort(key=lambda each: names.index(each[1].name))  # its sizes one after the other
        for workers in arguments.workers:
            _measure_targets(arguments, pace, places, workers, facts, results)


def _fill(
    arguments: argparse.Namespace,
    dataset: Dataset,
    folder: Path,
    stack: ExitStack,
    server: PostgreSQL,
    facts: Findings,
    *,
    is_largest: bool,
) -> list[FilledDatabase]:
    """Fill every database, once; what cannot be filled is told and left out."""
    makers: dict[str, Callable[[Path], AbstractContextManager[FilledDatabase]]] = {
        "postgresql": lambda folder: dragoman_target.postgresql_target(dataset, folder, server),
        "sqlite": lambda folder: dragoman_target.sqlite_target(dataset, folder),
    }
    for name, filled in PEERS.items() if is_largest else ():
        makers[name] = lambda folder, filled=filled: filled(dataset, folder, server)
    places: list[FilledDatabase] = []
    for name in (name for name in makers if name in arguments.targets):
        _log(f"{name}: filling {dataset.users:,} users in")
        place = folder / name
        place.mkdir()
        try:
            filled_place = stack.enter_context(makers[name](place))
        except START_ERRORS as error:
            if name in options.DRAGOMAN_TARGETS:
                raise
            facts.missing[name] = str(error)
            _log(f"{name}: left out: {error}")
            continue
        places.append(filled_place)
        facts.record("filled_s", filled_place.name, dataset.users, filled_place.filled_s)
        if name in options.DRAGOMAN_TARGETS and is_largest and "floors" in arguments.targets:
            places += floors.baseline_places(filled_place, place)
        if name == "postgresql" and is_largest:
            facts.copy_rate = copy_rate.rate(filled_place.database)
    return places


def _measure_targets(
    arguments: argparse.Namespace,
    pace: MeasurementOptions,
    places: list[tuple[Dataset, FilledDatabase]],
    workers: int,
    facts: Findings,
    results: list[Result],
) -> None:
    """Start every target, compare their answers, measure them; they idle while not asked."""
    last = workers == arguments.workers[-1]
    with ExitStack() as stack:
        targets: list[tuple[Dataset, Target]] = []
        for dataset, place in places:
            try:
                targets.append((dataset, stack.enter_context(place.serve(workers))))
            except START_ERRORS as error:
                if place.request_family == "ours":
                    raise
                facts.missing[place.name] = str(error)
                _log(f"{place.name}: left out: {error}")
        for dataset, target in targets:
            if target.request_family == "ours":
                facts.record("ready_s", target.name, dataset.users, target.ready_s)
                idle = servers.worker_memory_mb(target.pid, workers)
                facts.record("idle_mb", target.name, dataset.users, max(idle, default=0.0))
        if workers == arguments.workers[0]:  # later on, what was measured has changed the data
            _compare(arguments, targets)

        def before(scenario: Scenario, seat: MeasuredTarget) -> None:
            for _, place in places:
                if place.database.startswith("postgresql:"):
                    servers.wait_until_idle(place.database)
                    break
            if (
                last
                and seat.target.request_family == "ours"
                and seat.conditions.users == arguments.users[-1]
            ):
                facts.measure_hashes(
                    scenario.key,
                    seat.target.name,
                    lambda n: hash_rate.hashes_per_second(pace.seconds, n),
                )

        seats: list[MeasuredTarget] = []
        for connections in arguments.connections:
            _log(f"{workers} workers, {connections} connections")
            seats = [
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
            results += repetitions.measure(pace, seats, _log, before)
        for seat in seats if last else ():
            if seat.target.request_family == "ours" and seat.dataset.users == arguments.users[-1]:
                under_load.measure(arguments.extras, pace, seat, facts, _log)
                after = servers.worker_memory_mb(seat.target.pid, workers)
                facts.record(
                    "after_mb", seat.target.name, seat.conditions.users, max(after, default=0.0)
                )


def _scenarios_for(arguments: argparse.Namespace, dataset: Dataset) -> list[Scenario]:
    """Return what is measured at a size: at all but the largest only what has a limit to its growth."""
    whole = dataset.users == arguments.users[-1]
    wanted = (
        arguments.scenarios
        if whole or arguments.full
        else set(arguments.scenarios) & set(targets.GROWING)
    )
    return [scenario for scenario in SCENARIOS if scenario.key in wanted]


def _compare(arguments: argparse.Namespace, targets: list[tuple[Dataset, Target]]) -> None:
    """Raise UnlikeError where targets over the same people do not answer alike."""
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
