"""Measurements beside other load, and under overload."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import msgspec

from benchmarks import load, repetitions
from benchmarks.baselines import hash_rate
from benchmarks.load import LoadPlan, Measurement
from benchmarks.open_loop import GRACE_S, OpenLoopPlan, OpenLoopResult
from benchmarks.repetitions import MeasuredTarget, MeasurementOptions
from benchmarks.scenarios import BY_KEY
from benchmarks.targets import DisturbedMeasurement, Findings, Overload

SIGN_IN_OVERLOAD_FACTOR = 3
"""Sign-ins without limit: the offered rate as a multiple of the hash limit."""
OVERLOADED = "list"
"""Scenario for overload; `open_loop.py` can send its requests fast enough."""
RECOVERY_S = 5.0


def measure(
    chosen: Sequence[str],
    pace: MeasurementOptions,
    measured_target: MeasuredTarget,
    findings: Findings,
    say: Callable[[str], None],
) -> None:
    """Run the chosen measurements on a Dragoman target, and record the findings.

    Args:
        chosen: names from ``options.UNDER_LOAD``.
        pace: duration and number of the measurements.
        measured_target: the target.
        findings: gets the results.
        say: writes a line of progress.
    """
    target = measured_target.target
    if "sign-ins" in chosen:
        say(f"{target.name}: retrieves beside sign-ins without limit")
        rate = SIGN_IN_OVERLOAD_FACTOR * (findings.hash_limit or 50.0)
        signing = _plan(pace, measured_target, "sign-in")
        findings.sign_ins[target.name] = _measure_beside(
            pace,
            lambda: _plan(pace, measured_target, "retrieve"),
            lambda seconds: _open_loop(signing, rate, seconds),
            lambda: hash_rate.hashes_per_second(pace.seconds),
        )
    if "search" in chosen:
        say(f"{target.name}: retrieves beside searches that match all users")
        search = _plan(pace, measured_target, "search-common")
        findings.searches[target.name] = _measure_beside(
            pace,
            lambda: _plan(pace, measured_target, "retrieve"),
            lambda seconds: _closed_loop(search, seconds),
        )
    if "overload" in chosen:
        say(f"{target.name}: twice its capacity")
        floods = [_overload(pace, measured_target) for _ in range(pace.repetitions)]
        findings.overload[target.name] = floods


def _measure_beside(
    pace: MeasurementOptions,
    plan: Callable[[], LoadPlan],
    disturb: Callable[[float], AbstractContextManager[list[float]]],
    limit: Callable[[], float] | None = None,
) -> DisturbedMeasurement:
    """Measure retrieves alone and beside a disturbance, in turns.

    Args:
        pace: duration and number of the measurements.
        plan: returns a new plan of retrieves.
        disturb: runs the disturbance for a number of seconds, and appends its answers per second.
        limit: returns how many of them per second the machine could do at most.
    """
    found = DisturbedMeasurement(undisturbed=[], disturbed=[], others=[], limits=[])
    whole_s = (
        max(1, round(pace.seconds)) + max(1, round(pace.warm_up)) + 1
    )  # wrk rounds in the same way
    for _ in range(pace.repetitions):
        if limit is not None:
            found.limits.append(limit())
        found.undisturbed.append(repetitions.carry_out(plan(), by_wrk=pace.wrk))
        with disturb(whole_s) as rates:
            time.sleep(0.5)
            found.disturbed.append(repetitions.carry_out(plan(), by_wrk=pace.wrk))
        found.others.extend(rates)
    return found


@contextmanager
def _closed_loop(plan: LoadPlan, seconds: float) -> Generator[list[float]]:
    """Run a plan in the background with `load.py`."""
    plan = msgspec.structs.replace(plan, seconds=seconds, warm_up=0)
    rates: list[float] = []
    running = repetitions.start_load_process(plan)
    try:
        yield rates
    finally:
        rates.append(repetitions.finish_load_process(running, plan).rate)


@contextmanager
def _open_loop(plan: LoadPlan, rate: float, seconds: float) -> Generator[list[float]]:
    """Run a plan's requests in the background at a fixed rate."""
    rates: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_run_open_loop, plan, rate, seconds)
        yield rates
        rates.append(running.result().in_time / seconds)


def _plan(pace: MeasurementOptions, measured_target: MeasuredTarget, key: str) -> LoadPlan:
    return repetitions.make_plan(pace, BY_KEY[key], measured_target)


def _overload(pace: MeasurementOptions, measured_target: MeasuredTarget) -> Overload:
    """Measure the capacity, then offer half of it, twice of it, and half again."""
    plan = _plan(pace, measured_target, OVERLOADED)
    capacity = run_load_py(plan).rate
    calm = _run_open_loop(plan, capacity / 2, pace.seconds)
    flood = _run_open_loop(plan, capacity * 2, max(pace.seconds, 1.0))
    time.sleep(max(0.0, RECOVERY_S - GRACE_S))
    after = _run_open_loop(plan, capacity / 2, pace.seconds)
    return Overload(
        capacity=capacity,
        seconds=max(pace.seconds, 1.0),
        half_capacity=calm,
        double_capacity=flood,
        recovery=after,
    )


def run_load_py(plan: LoadPlan) -> Measurement:
    """Run a plan with `load.py`, which costs the machine as much as the open loop."""
    return repetitions.carry_out(plan, by_wrk=False)


def _run_open_loop(plan: LoadPlan, rate: float, seconds: float) -> OpenLoopResult:
    open_loop_plan = OpenLoopPlan(
        url=plan.url, requests=plan.requests, rate=max(rate, 1.0), seconds=seconds
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.open_loop"],
        input=msgspec.json.encode(open_loop_plan),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + GRACE_S + load.GRACE_S + 20,
    )
    return msgspec.json.decode(done.stdout, type=OpenLoopResult)
