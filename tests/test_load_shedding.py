"""Load shedder: admits bursts, and shortens a queue that persists."""

from __future__ import annotations

import contextlib

import pytest

from dragoman import load_shedding as module
from dragoman.load_shedding import INTERVAL_S, TARGET_S, LoadShedder
from dragoman.rules.errors import Unavailable

SERVICE_TIME_S = 0.1


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Callers:
    """Callers of a load shedder with one slot, served in order."""

    def __init__(self, shedder: LoadShedder) -> None:
        self.shedder = shedder
        self.admitted: list[contextlib.ExitStack] = []

    def arrive(self) -> bool:
        stack = contextlib.ExitStack()
        try:
            stack.enter_context(self.shedder.slot())
        except Unavailable:
            return False
        self.admitted.append(stack)
        return True

    def serve_one(self) -> None:
        self.admitted.pop(0).close()
        self.shedder.record_duration(SERVICE_TIME_S)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def single_slot_shedder(max_wait_s: float = 2.0) -> LoadShedder:
    return LoadShedder("tests", 1, max_wait_s=max_wait_s, service_time_s=SERVICE_TIME_S)


def test_a_burst_is_admitted_up_to_the_maximum_wait(clock: Clock) -> None:
    callers = Callers(single_slot_shedder())
    admitted = [callers.arrive() for _ in range(50)]
    assert sum(admitted) == 21  # one is being served, the others are two seconds of work
    assert admitted == sorted(admitted, reverse=True)


def test_retry_after_is_the_estimated_wait(clock: Clock) -> None:
    callers = Callers(single_slot_shedder(max_wait_s=5.0))
    while callers.arrive():
        pass
    with pytest.raises(Unavailable) as raised, callers.shedder.slot():
        pass
    assert raised.value.retry_after == 6
    assert str(raised.value) == "tests"


def waiting_after_overload(callers: Callers, clock: Clock, times: int) -> list[int]:
    """Offer twice the capacity for a number of steps; return the number of callers after each."""
    waiting: list[int] = []
    for _ in range(times):
        clock.now += SERVICE_TIME_S
        callers.arrive()
        callers.arrive()
        callers.serve_one()
        waiting.append(len(callers.admitted))
    return waiting


def test_a_persistent_queue_is_shortened_without_idling(clock: Clock) -> None:
    callers = Callers(single_slot_shedder())
    waiting = waiting_after_overload(callers, clock, 200)
    assert max(waiting) <= (TARGET_S + INTERVAL_S) / SERVICE_TIME_S + 2
    assert all(1 <= n <= TARGET_S / SERVICE_TIME_S + 2 for n in waiting[100:])


def test_bursts_are_admitted_again_after_the_queue_was_empty(clock: Clock) -> None:
    callers = Callers(single_slot_shedder())
    waiting_after_overload(callers, clock, 200)
    while callers.admitted:
        callers.serve_one()
    assert sum(callers.arrive() for _ in range(50)) == 21


def test_the_service_time_is_measured(clock: Clock) -> None:
    shedder = single_slot_shedder()
    for _ in range(100):
        shedder.record_duration(0.01)
    assert 190 <= sum(Callers.arrive(callers) for callers in [Callers(shedder)] * 300) <= 202


def test_several_slots_share_the_work(clock: Clock) -> None:
    callers = Callers(LoadShedder("tests", 4, max_wait_s=2.0, service_time_s=SERVICE_TIME_S))
    assert sum(callers.arrive() for _ in range(200)) == 84
