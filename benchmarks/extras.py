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
from benchmarks.floors import hashing
from benchmarks.load import Measured, Plan
from benchmarks.musts import Beside, Facts, Overload
from benchmarks.offered import GRACE_S, Offer, Offered
from benchmarks.rounds import Pace, Seat
from benchmarks.scenarios import BY_KEY

OFFERED = 3
"""Sign-ins without bound: as many times the hash limit are offered, whether or not it keeps up."""
OVERLOADED = "list"
"""What is asked for to overload a server: one that our own generator can ask for fast enough."""
BACK_AFTER_S = 5.0


def measure(
    chosen: Sequence[str],
    pace: Pace,
    seat: Seat,
    facts: Facts,
    say: Callable[[str], None],
) -> None:
    """Carry out the chosen extras at one target of ours, and note what was found."""
    target = seat.target
    if "sign-ins" in chosen:
        say(f"{target.name}: retrieves while sign-ins are offered without bound")
        rate = OFFERED * (facts.hash_limit or 50.0)
        signing = _plan(pace, seat, "sign-in")
        facts.sign_ins[target.name] = _beside(
            pace,
            lambda: _plan(pace, seat, "retrieve"),
            lambda seconds: _offering(signing, rate, seconds),
            lambda: hashing.limit(pace.seconds),
        )
    if "search" in chosen:
        say(f"{target.name}: retrieves while somebody searches for what all have")
        search = _plan(pace, seat, "search-common")
        facts.searches[target.name] = _beside(
            pace,
            lambda: _plan(pace, seat, "retrieve"),
            lambda seconds: _asking(search, seconds),
        )
    if "overload" in chosen:
        say(f"{target.name}: twice as much as it can do")
        floods = [_overload(pace, seat) for _ in range(pace.repetitions)]
        facts.overload[target.name] = floods


def _beside(
    pace: Pace,
    plan: Callable[[], Plan],
    disturb: Callable[[float], AbstractContextManager[list[float]]],
    limit: Callable[[], float] | None = None,
) -> Beside:
    """Measure retrieves alone and beside a disturbance, in turns, by ``pace.repetitions``.

    ``disturb(seconds)`` lasts as long as its block, and has said at its end how many answers a
    second it got; ``limit()`` is how many it could get with the machine for itself.
    """
    found = Beside(quiet=[], loaded=[], others=[], limits=[])
    whole_s = max(1, round(pace.seconds)) + max(1, round(pace.warm_up)) + 1  # wrk rounds likewise
    for _ in range(pace.repetitions):
        if limit is not None:
            found.limits.append(limit())
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


def _plan(pace: Pace, seat: Seat, key: str) -> Plan:
    return rounds.plan_of(pace, BY_KEY[key], seat)


def _overload(pace: Pace, seat: Seat) -> Overload:
    """Find the capacity, then offer a half of it, twice of it, and a half again."""
    plan = _plan(pace, seat, OVERLOADED)
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
