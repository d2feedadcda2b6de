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

from benchmarks import extras, musts, options, ours, picture, report, rounds, scenarios, servers
from benchmarks.better_auth import target as better_auth
from benchmarks.data import Dataset
from benchmarks.django_peer import target as django
from benchmarks.fastapi_peer import target as fastapi
from benchmarks.floors import copying, hashing
from benchmarks.floors import target as floors
from benchmarks.musts import Facts
from benchmarks.rounds import Conditions, Pace, Result, Seat
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import Place, Target, UnreadyError
from tests.support.postgresql import PostgreSQL

PEERS = {"django": django.filled, "fastapi": fastapi.filled, "better-auth": better_auth.filled}
FAULTS = (UnreadyError, OSError, subprocess.SubprocessError, asyncpg.PostgresError)


class UnlikeError(Exception):
    """Targets that do not answer as they should, or not alike; nothing is measured then."""


def main() -> int:
    """Measure, print, write; 1 if any request failed or the targets' answers differ."""
    asked = options.read()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then too
    pace = options.pace_of(asked)
    generator = "wrk" if pace.wrk else "benchmarks/load.py"
    _say(f"load by {generator}")
    facts, results = Facts(), list[Result]()
    server = servers.postgresql()
    try:
        _measure(asked, pace, server, facts, results)
    except UnlikeError as fault:
        print(f"Answers are not as they should be:\n{fault}", file=sys.stderr)
        return 1
    finally:
        server.stop()
    conditions = {**vars(asked), "output": str(asked.output), "generator": generator}
    report.show(results, facts, conditions)
    report.write(results, facts, conditions, asked.output)
    if drawn := picture.draw(results, asked.output.with_suffix(".png")):
        print(f"Written: {asked.output}, {drawn}")
    silent = any(not result.rate for result in results if result.target in musts.OURS)
    return int(silent or any(result.failures for result in results))


def _measure(
    asked: argparse.Namespace, pace: Pace, server: PostgreSQL, facts: Facts, results: list[Result]
) -> None:
    """Fill every size, then measure all of them in turns: what grows is seen in the same minute."""
    with ExitStack() as stack:
        places: list[tuple[Dataset, Place]] = []
        for users in reversed(asked.users):
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-bench-"))
            )
            whole = users == asked.users[-1]
            filled = _fill(asked, Dataset(users), folder, stack, server, facts, whole=whole)
            places += [(Dataset(users), place) for place in filled]
        names = list(dict.fromkeys(place.name for _, place in places))
        places.sort(key=lambda each: names.index(each[1].name))  # its sizes one after the other
        for workers in asked.workers:
            _served(asked, pace, places, workers, facts, results)


def _fill(
    asked: argparse.Namespace,
    dataset: Dataset,
    folder: Path,
    stack: ExitStack,
    server: PostgreSQL,
    facts: Facts,
    *,
    whole: bool,
) -> list[Place]:
    """Fill every database, once; what cannot be filled is told and left out."""
    makers: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
        "postgresql": lambda folder: ours.on_postgresql(dataset, folder, server),
        "sqlite": lambda folder: ours.on_sqlite(dataset, folder),
    }
    for name, filled in PEERS.items() if whole else ():
        makers[name] = lambda folder, filled=filled: filled(dataset, folder, server)
    places: list[Place] = []
    for name in (name for name in makers if name in asked.targets):
        _say(f"{name}: filling {dataset.users:,} users in")
        place = folder / name
        place.mkdir()
        try:
            filled_place = stack.enter_context(makers[name](place))
        except FAULTS as fault:
            if name in options.OURS:
                raise
            facts.missing[name] = str(fault)
            _say(f"{name}: left out: {fault}")
            continue
        places.append(filled_place)
        facts.note("filled_s", filled_place.name, dataset.users, filled_place.filled_s)
        if name in options.OURS and whole and "floors" in asked.targets:
            places += floors.places(filled_place, place)
        if name == "postgresql" and whole:
            facts.copy_rate = copying.rate(filled_place.database)
    return places


def _served(
    asked: argparse.Namespace,
    pace: Pace,
    places: list[tuple[Dataset, Place]],
    workers: int,
    facts: Facts,
    results: list[Result],
) -> None:
    """Start every target, compare their answers, measure them; they idle while not asked."""
    last = workers == asked.workers[-1]
    with ExitStack() as stack:
        targets: list[tuple[Dataset, Target]] = []
        for dataset, place in places:
            try:
                targets.append((dataset, stack.enter_context(place.serve(workers))))
            except FAULTS as fault:
                if place.family == "ours":
                    raise
                facts.missing[place.name] = str(fault)
                _say(f"{place.name}: left out: {fault}")
        for dataset, target in targets:
            if target.family == "ours":
                facts.note("ready_s", target.name, dataset.users, target.ready_s)
                idle = servers.memory_of(target.pid, workers)
                facts.note("idle_mb", target.name, dataset.users, max(idle, default=0.0))
        if workers == asked.workers[0]:  # later on, what was measured has changed the data
            _compare(asked, targets)

        def before(scenario: Scenario, seat: Seat) -> None:
            for _, place in places:
                if place.database.startswith("postgresql:"):
                    servers.rest(place.database)
                    break
            if last and seat.target.family == "ours" and seat.at.users == asked.users[-1]:
                facts.hash(scenario.key, seat.target.name, lambda n: hashing.limit(pace.seconds, n))

        seats: list[Seat] = []
        for connections in asked.connections:
            _say(f"{workers} workers, {connections} connections")
            seats = [
                Seat(
                    target=target,
                    dataset=dataset,
                    at=Conditions(users=dataset.users, workers=workers, connections=connections),
                    scenarios={scenario.key for scenario in _chosen(asked, dataset)},
                )
                for dataset, target in targets
            ]
            results += rounds.measure(pace, seats, _say, before)
        for seat in seats if last else ():
            if seat.target.family == "ours" and seat.dataset.users == asked.users[-1]:
                extras.measure(asked.extras, pace, seat, facts, _say)
                after = servers.memory_of(seat.target.pid, workers)
                facts.note("after_mb", seat.target.name, seat.at.users, max(after, default=0.0))


def _chosen(asked: argparse.Namespace, dataset: Dataset) -> list[Scenario]:
    """Return what is measured at a size: at all but the largest only what has a limit to its growth."""
    whole = dataset.users == asked.users[-1]
    wanted = asked.scenarios if whole or asked.full else set(asked.scenarios) & set(musts.GROWING)
    return [scenario for scenario in SCENARIOS if scenario.key in wanted]


def _compare(asked: argparse.Namespace, targets: list[tuple[Dataset, Target]]) -> None:
    """Raise UnlikeError where targets over the same people do not answer alike."""
    sizes = {dataset.users: dataset for dataset, _ in targets}
    unlike = [
        difference
        for users, dataset in sizes.items()
        for scenario in _chosen(asked, dataset)
        for difference in scenarios.differences(
            scenario, dataset, [target for its, target in targets if its.users == users]
        )
    ]
    if unlike:
        raise UnlikeError("\n".join(unlike[:10]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
