"""What is measured under a load of something else, or of too much."""

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
"""Sign-ins without bound: as many times the hash limit are offered, whether or not it keeps up."""
OVERLOADED = "list"
"""What is asked for to overload a server: one that our own generator can ask for fast enough."""
RECOVERY_S = 5.0


def measure(
    chosen: Sequence[str],
    pace: MeasurementOptions,
    seat: MeasuredTarget,
    facts: Findings,
    say: Callable[[str], None],
) -> None:
    """Carry out the chosen extras at one target of ours, and note what was found."""
    target = seat.target
    if "sign-ins" in chosen:
        say(f"{target.name}: retrieves while sign-ins are offered without bound")
        rate = SIGN_IN_OVERLOAD_FACTOR * (facts.hash_limit or 50.0)
        signing = _plan(pace, seat, "sign-in")
        facts.sign_ins[target.name] = _measure_beside(
            pace,
            lambda: _plan(pace, seat, "retrieve"),
            lambda seconds: _open_loop(signing, rate, seconds),
            lambda: hash_rate.hashes_per_second(pace.seconds),
        )
    if "search" in chosen:
        say(f"{target.name}: retrieves while somebody searches for what all have")
        search = _plan(pace, seat, "search-common")
        facts.searches[target.name] = _measure_beside(
            pace,
            lambda: _plan(pace, seat, "retrieve"),
            lambda seconds: _closed_loop(search, seconds),
        )
    if "overload" in chosen:
        say(f"{target.name}: twice as much as it can do")
        floods = [_overload(pace, seat) for _ in range(pace.repetitions)]
        facts.overload[target.name] = floods


def _measure_beside(
    pace: MeasurementOptions,
    plan: Callable[[], LoadPlan],
    disturb: Callable[[float], AbstractContextManager[list[float]]],
    limit: Callable[[], float] | None = None,
) -> DisturbedMeasurement:
    """Measure retrieves alone and beside a disturbance, in turns, by ``pace.repetitions``.

    ``disturb(seconds)`` lasts as long as its block, and has said at its end how many answers a
    second it got; ``limit()`` is how many it could get with the machine for itself.
    """
    found = DisturbedMeasurement(undisturbed=[], disturbed=[], others=[], limits=[])
    whole_s = max(1, round(pace.seconds)) + max(1, round(pace.warm_up)) + 1  # wrk rounds likewise
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
    """Ask one after another, on as many connections as the plan has."""
    plan = msgspec.structs.replace(plan, seconds=seconds, warm_up=0)
    rates: list[float] = []
    running = repetitions.start_load_process(plan)
    try:
        yield rates
    finally:
        rates.append(repetitions.finish_load_process(running, plan).rate)


@contextmanager
def _open_loop(plan: LoadPlan, rate: float, seconds: float) -> Generator[list[float]]:
    """Offer a plan's requests at a rate of their own."""
    rates: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_run_open_loop, plan, rate, seconds)
        yield rates
        rates.append(running.result().in_time / seconds)


def _plan(pace: MeasurementOptions, seat: MeasuredTarget, key: str) -> LoadPlan:
    return repetitions.make_plan(pace, BY_KEY[key], seat)


def _overload(pace: MeasurementOptions, seat: MeasuredTarget) -> Overload:
    """Find the capacity, then offer a half of it, twice of it, and a half again."""
    plan = _plan(pace, seat, OVERLOADED)
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
    """Carry out a plan by `load.py`: the generator that costs what the open loop costs."""
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
