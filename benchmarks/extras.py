"""What is measured under a load of something else, or of too much."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import msgspec

from benchmarks import load, rounds
from benchmarks.data import Dataset
from benchmarks.load import Measured, Plan
from benchmarks.musts import Beside, Facts, Overload
from benchmarks.offered import GRACE_S, Offer, Offered
from benchmarks.rounds import Conditions, Pace, Result
from benchmarks.scenarios import BY_KEY
from benchmarks.servers import Target

OFFERED = 3
"""Sign-ins without bound: as many times the hash limit are offered, whether or not it keeps up."""
OVERLOADED = "list"
"""What is asked for to overload a server: one that our own generator can ask for fast enough."""
BACK_AFTER_S = 5.0


def measure(
    chosen: Sequence[str],
    pace: Pace,
    dataset: Dataset,
    target: Target,
    results: list[Result],
    facts: Facts,
    say: Callable[[str], None],
) -> None:
    """Carry out the chosen extras at one target of ours, and note what was found."""
    at = results[-1].at if results else Conditions(users=dataset.users, workers=1, connections=32)
    if "sign-ins" in chosen:
        say(f"{target.name}: retrieves while sign-ins are offered without bound")
        rate = OFFERED * (facts.hash_limit or 50.0)
        signing = _plan(pace, dataset, target, at, "sign-in")
        facts.sign_ins[target.name] = _beside(
            pace,
            lambda: _plan(pace, dataset, target, at, "retrieve"),
            lambda seconds: _offering(signing, rate, seconds),
        )
    if "search" in chosen:
        say(f"{target.name}: retrieves while somebody searches for what all have")
        search = _plan(pace, dataset, target, at, "search-common")
        facts.searches[target.name] = _beside(
            pace,
            lambda: _plan(pace, dataset, target, at, "retrieve"),
            lambda seconds: _asking(search, seconds),
        )
    if "overload" in chosen:
        say(f"{target.name}: twice as much as it can do")
        facts.overload[target.name] = _overload(pace, dataset, target, at)


def _beside(
    pace: Pace,
    plan: Callable[[], Plan],
    disturb: Callable[[float], AbstractContextManager[list[float]]],
) -> Beside:
    """Measure retrieves alone and beside a disturbance, in turns, by ``pace.repetitions``.

    ``disturb(seconds)`` lasts as long as its block, and has said at its end how many answers a
    second it got.
    """
    found = Beside(quiet=[], loaded=[], others=[])
    whole_s = max(1, round(pace.seconds)) + max(1, round(pace.warm_up)) + 1  # wrk rounds likewise
    for _ in range(pace.repetitions):
        found.quiet.append(rounds.carry_out(plan(), by_wrk=pace.wrk))
        with disturb(whole_s) as rates:
            time.sleep(0.5)
            found.loaded.append(rounds.carry_out(plan(), by_wrk=pace.wrk))
        found.others.extend(rates)
    return found


@contextmanager
def _asking(plan: Plan, seconds: float) -> Generator[list[float]]:
    """Ask one after another, on as many connections as the plan has."""
    plan = msgspec.structs.replace(plan, seconds=seconds, warm_up=0)
    rates: list[float] = []
    running = rounds.begin(plan)
    try:
        yield rates
    finally:
        rates.append(rounds.end(running, plan).rate)


@contextmanager
def _offering(plan: Plan, rate: float, seconds: float) -> Generator[list[float]]:
    """Offer a plan's requests at a rate of their own."""
    rates: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_offer, plan, rate, seconds)
        yield rates
        rates.append(running.result().in_time / seconds)


def _plan(pace: Pace, dataset: Dataset, target: Target, at: Conditions, key: str) -> Plan:
    return rounds.plan_of(pace, BY_KEY[key], dataset, target, at)


def _overload(pace: Pace, dataset: Dataset, target: Target, at: Conditions) -> Overload:
    """Find the capacity, then offer a half of it, twice of it, and a half again."""
    plan = _plan(pace, dataset, target, at, OVERLOADED)
    capacity = load_py(plan).rate
    calm = _offer(plan, capacity / 2, pace.seconds)
    flood = _offer(plan, capacity * 2, max(pace.seconds, 1.0))
    time.sleep(max(0.0, BACK_AFTER_S - GRACE_S))
    after = _offer(plan, capacity / 2, pace.seconds)
    return Overload(
        capacity=capacity, seconds=max(pace.seconds, 1.0), calm=calm, flood=flood, after=after
    )


def load_py(plan: Plan) -> Measured:
    """Carry out a plan by `load.py`: the generator that costs what the open loop costs."""
    return rounds.carry_out(plan, by_wrk=False)


def _offer(plan: Plan, rate: float, seconds: float) -> Offered:
    offer = Offer(url=plan.url, asks=plan.asks, rate=max(rate, 1.0), seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.offered"],
        input=msgspec.json.encode(offer),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + GRACE_S + load.GRACE_S + 20,
    )
    return msgspec.json.decode(done.stdout, type=Offered)
