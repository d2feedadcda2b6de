"""Measures all targets in turns and repeats, so that a disturbance affects all of them."""

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
    """The conditions of a measurement."""

    users: int
    workers: int
    connections: int


class MeasurementOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Duration (seconds) and number of measurements, and the load generator."""

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
        """Requests per second: the median of the repetitions."""
        return median(run.rate for run in self.runs)

    @property
    def median_ms(self) -> float:
        """The median of the repetitions' median latencies."""
        return median(run.median_ms for run in self.runs)

    @property
    def refused(self) -> int:
        """Number of requests that were refused with 503 and ``Retry-After``."""
        return sum(run.refused for run in self.runs)

    @property
    def failures(self) -> int:
        """Number of failed requests, including the warm-up."""
        return sum(sum(run.failures.values()) for run in self.runs)


class MeasuredTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target with its data and the scenarios that are measured on it."""

    target: Target
    dataset: Dataset
    conditions: Conditions
    scenarios: Collection[str]

    def takes_part(self, scenario: Scenario) -> bool:
        """Say whether the scenario is measured on this target."""
        return (
            scenario.key in self.scenarios and self.target.request_family in scenario.requests_for
        )


def measure(
    pace: MeasurementOptions,
    measured_targets: Sequence[MeasuredTarget],
    say: Callable[[str], None],
    before: Callable[[Scenario, MeasuredTarget], None],
) -> list[Result]:
    """Measure every scenario on every target that supports it, in turns.

    Args:
        pace: duration and number of the measurements.
        measured_targets: targets of all sizes.
        say: writes a line of progress.
        before: runs before every measurement.
    """
    found: list[Result] = []
    asked = [
        (
            s,
            [
                measured_target
                for measured_target in measured_targets
                if measured_target.takes_part(s)
            ],
        )
        for s in SCENARIOS
    ]
    asked = [(scenario, here) for scenario, here in asked if here]
    runs: dict[tuple[str, int], list[Measurement]] = {}
    for repetition in range(pace.repetitions):
        for scenario, here in asked:
            say(f"  {scenario.title} ({repetition + 1} of {pace.repetitions})")
            for turn in range(len(here)):
                place = (turn + repetition) % len(here)
                measured_target = here[place]
                before(scenario, measured_target)
                plan = make_plan(pace, scenario, measured_target)
                by_wrk = pace.wrk and not scenario.slow
                measured = measure_with_cpu(plan, measured_target.target, by_wrk=by_wrk)
                runs.setdefault((scenario.key, place), []).append(measured)
    for scenario, here in asked:
        for place, measured_target in enumerate(here):
            measured_runs = runs[scenario.key, place]
            result = Result(
                scenario=scenario.key,
                target=measured_target.target.name,
                conditions=measured_target.conditions,
                runs=measured_runs,
            )
            found.append(result)
    return found


def make_plan(
    pace: MeasurementOptions, scenario: Scenario, measured_target: MeasuredTarget
) -> LoadPlan:
    """Return the plan for a load generator; its salt makes created users unique."""
    target = measured_target.target
    return LoadPlan(
        url=target.url,
        requests=scenario.requests_for[target.request_family](
            measured_target.dataset, target.tokens
        ),
        connections=scenario.connections or measured_target.conditions.connections,
        seconds=pace.seconds,
        warm_up=pace.warm_up,
        status=scenario.status,
        follow_next=scenario.follow_next,
        salt=f"{next(_salts):05}",
    )


def measure_with_cpu(plan: LoadPlan, target: Target, *, by_wrk: bool) -> Measurement:
    """Run a plan, and measure the server's CPU time for it."""
    before = servers.cpu_seconds(target.pid)
    measured = carry_out(plan, by_wrk=by_wrk)
    took = max(0.0, servers.cpu_seconds(target.pid) - before)
    each = round(took / max(1, measured.answered) * 1e6, 1)
    return msgspec.structs.replace(measured, server_us=each)


def carry_out(plan: LoadPlan, *, by_wrk: bool) -> Measurement:
    """Run a plan with wrk if it can, else with a process of `load.py`."""
    if by_wrk and not plan.follow_next:
        measured = wrk.measure(plan)
        return _separate_refusals(measured, plan) if "status" in measured.failures else measured
    running = start_load_process(plan)
    return finish_load_process(running, plan)


def _separate_refusals(measured: Measurement, plan: LoadPlan) -> Measurement:
    """Count wrk's status failures as refused if `load.py` sees only refusals."""
    plan = msgspec.structs.replace(plan, seconds=2.0, warm_up=0.0, salt=f"{next(_salts):05}")
    seen = finish_load_process(start_load_process(plan), plan)
    if seen.failures or not seen.refused:
        return measured
    others = {name: n for name, n in measured.failures.items() if name != "status"}
    return msgspec.structs.replace(measured, failures=others, refused=measured.failures["status"])


def start_load_process(plan: LoadPlan) -> subprocess.Popen[bytes]:
    """Start a process of `load.py`; the caller ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(plan))
    process.stdin.close()
    process.stdin = None
    return process


def finish_load_process(process: subprocess.Popen[bytes], plan: LoadPlan) -> Measurement:
    """Wait for the measurement of a process of `load.py`."""
    try:
        output, _ = process.communicate(timeout=plan.warm_up + plan.seconds + load.GRACE_S + 20)
    finally:
        process.kill()
        process.wait()
    return msgspec.json.decode(output, type=Measurement)
