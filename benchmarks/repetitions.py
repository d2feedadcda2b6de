"""Rounds: every target is asked in turn, over and over, so that what disturbs one disturbs all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from itertools import count
from statistics import median

import msgspec

from benchmarks import load, servers, wrk
from benchmarks.data import Dataset
from benchmarks.load import LoadPlan, Measurement
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import Target

_salts = count(1)


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement was made under."""

    users: int
    workers: int
    connections: int


class MeasurementOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often is measured, and by which generator."""

    seconds: float
    warm_up: float
    repetitions: int
    wrk: bool


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All repetitions of one scenario at one target."""

    scenario: str
    target: str
    conditions: Conditions
    runs: list[Measurement]

    @property
    def rate(self) -> float:
        """Requests a second: the median of the repetitions."""
        return median(run.rate for run in self.runs)

    @property
    def median_ms(self) -> float:
        """The median of the repetitions' median latencies."""
        return median(run.median_ms for run in self.runs)

    @property
    def refused(self) -> int:
        """How many requests were refused with 503 and ``Retry-After``."""
        return sum(run.refused for run in self.runs)

    @property
    def failures(self) -> int:
        """How many requests failed, warm-up included."""
        return sum(sum(run.failures.values()) for run in self.runs)


class MeasuredTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target in the round: who is in its database, and which scenarios it takes part in."""

    target: Target
    dataset: Dataset
    conditions: Conditions
    scenarios: Collection[str]

    def takes_part(self, scenario: Scenario) -> bool:
        """Say whether it is asked for this."""
        return (
            scenario.key in self.scenarios and self.target.request_family in scenario.requests_for
        )


def measure(
    pace: MeasurementOptions,
    seats: Sequence[MeasuredTarget],
    say: Callable[[str], None],
    before: Callable[[Scenario, MeasuredTarget], None],
) -> list[Result]:
    """Measure every scenario at every target that has words for it, whatever its size, in turns.

    ``before`` is done before every measurement.
    """
    found: list[Result] = []
    asked = [(s, [seat for seat in seats if seat.takes_part(s)]) for s in SCENARIOS]
    asked = [(scenario, here) for scenario, here in asked if here]
    runs: dict[tuple[str, int], list[Measurement]] = {}
    for repetition in range(pace.repetitions):
        for scenario, here in asked:
            say(f"  {scenario.title} ({repetition + 1} of {pace.repetitions})")
            for turn in range(len(here)):
                place = (turn + repetition) % len(here)
                seat = here[place]
                before(scenario, seat)
                plan = make_plan(pace, scenario, seat)
                by_wrk = pace.wrk and not scenario.slow
                measured = measure_with_cpu(plan, seat.target, by_wrk=by_wrk)
                runs.setdefault((scenario.key, place), []).append(measured)
    for scenario, here in asked:
        for place, seat in enumerate(here):
            measured_runs = runs[scenario.key, place]
            result = Result(
                scenario=scenario.key,
                target=seat.target.name,
                conditions=seat.conditions,
                runs=measured_runs,
            )
            found.append(result)
    return found


def make_plan(pace: MeasurementOptions, scenario: Scenario, seat: MeasuredTarget) -> LoadPlan:
    """Return what a generator has to do; every plan makes other newcomers."""
    target = seat.target
    return LoadPlan(
        url=target.url,
        requests=scenario.requests_for[target.request_family](seat.dataset, target.tokens),
        connections=scenario.connections or seat.conditions.connections,
        seconds=pace.seconds,
        warm_up=pace.warm_up,
        status=scenario.status,
        follow_next=scenario.follow_next,
        salt=f"{next(_salts):05}",
    )


def measure_with_cpu(plan: LoadPlan, target: Target, *, by_wrk: bool) -> Measurement:
    """Carry out a plan, and note what the server worked for it."""
    before = servers.cpu_seconds(target.pid)
    measured = carry_out(plan, by_wrk=by_wrk)
    took = max(0.0, servers.cpu_seconds(target.pid) - before)
    each = round(took / max(1, measured.answered) * 1e6, 1)
    return msgspec.structs.replace(measured, server_us=each)


def carry_out(plan: LoadPlan, *, by_wrk: bool) -> Measurement:
    """Carry out a plan by wrk where it can, else by a process of `load.py`."""
    if by_wrk and not plan.follow_next:
        measured = wrk.measure(plan)
        return _separate_refusals(measured, plan) if "status" in measured.failures else measured
    running = start_load_process(plan)
    return finish_load_process(running, plan)


def _separate_refusals(measured: Measurement, plan: LoadPlan) -> Measurement:
    """Say whether what wrk calls faults of status were refusals alone, as `load.py` sees them."""
    plan = msgspec.structs.replace(plan, seconds=2.0, warm_up=0.0, salt=f"{next(_salts):05}")
    seen = finish_load_process(start_load_process(plan), plan)
    if seen.failures or not seen.refused:
        return measured
    others = {name: n for name, n in measured.failures.items() if name != "status"}
    return msgspec.structs.replace(measured, failures=others, refused=measured.failures["status"])


def start_load_process(plan: LoadPlan) -> subprocess.Popen[bytes]:
    """Start a process of `load.py`; whoever starts it ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(plan))
    process.stdin.close()
    process.stdin = None
    return process


def finish_load_process(process: subprocess.Popen[bytes], plan: LoadPlan) -> Measurement:
    """Wait for what a process of `load.py` has measured."""
    try:
        output, _ = process.communicate(timeout=plan.warm_up + plan.seconds + load.GRACE_S + 20)
    finally:
        process.kill()
        process.wait()
    return msgspec.json.decode(output, type=Measurement)
