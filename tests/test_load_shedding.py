"""The queue in front of what is scarce: bursts are taken in, a standing one is refused."""

from __future__ import annotations

import contextlib

import pytest

from dragoman import load_shedding as module
from dragoman.load_shedding import INTERVAL_S, TARGET_S, LoadShedder
from dragoman.rules.errors import Unavailable

COST_S = 0.1


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Callers:
    """People before a gate of one place; whoever came first is served first."""

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
        self.shedder.record_duration(COST_S)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def single_slot_shedder(max_wait_s: float = 2.0) -> LoadShedder:
    return LoadShedder("tests", 1, max_wait_s=max_wait_s, service_time_s=COST_S)


def test_a_burst_is_taken_in_up_to_the_longest(clock: Clock) -> None:
    crowd = Callers(single_slot_shedder())
    came = [crowd.arrive() for _ in range(50)]
    assert sum(came) == 21  # one is being served, two seconds' work waits
    assert came == sorted(came, reverse=True)


def test_who_is_refused_is_told_how_long_the_others_need(clock: Clock) -> None:
    crowd = Callers(single_slot_shedder(max_wait_s=5.0))
    while crowd.arrive():
        pass
    with pytest.raises(Unavailable) as told, crowd.shedder.slot():
        pass
    assert told.value.retry_after == 6
    assert str(told.value) == "tests"


def waiting_after_overload(crowd: Callers, clock: Clock, times: int) -> list[int]:
    """Offer twice what can be done, so many times; return how many wait after each."""
    waiting: list[int] = []
    for _ in range(times):
        clock.now += COST_S
        crowd.arrive()
        crowd.arrive()
        crowd.serve_one()
        waiting.append(len(crowd.admitted))
    return waiting


def test_a_standing_queue_is_shortened_without_idling(clock: Clock) -> None:
    crowd = Callers(single_slot_shedder())
    waiting = waiting_after_overload(crowd, clock, 200)
    assert max(waiting) <= (TARGET_S + INTERVAL_S) / COST_S + 2
    assert all(1 <= n <= TARGET_S / COST_S + 2 for n in waiting[100:])


def test_once_it_has_been_empty_bursts_are_taken_in_again(clock: Clock) -> None:
    crowd = Callers(single_slot_shedder())
    waiting_after_overload(crowd, clock, 200)
    while crowd.admitted:
        crowd.serve_one()
    assert sum(crowd.arrive() for _ in range(50)) == 21


def test_what_was_served_before_a_burst_is_served_after_it(clock: Clock) -> None:
    """Clients who all come again at once, or a second after a refusal; guests stay for a while."""
    cost_s = COST_S / 10
    gate = LoadShedder(
        "tests",
        1,
        max_wait_s=2.0,
        service_time_s=cost_s,
        target_s=0.5,
        interval_s=0.3,
        overload_target_s=0.2,
    )
    crowd, began = Callers(gate), clock.now
    due = [clock.now] * 40  # less than makes a queue stand, more than is held where it does
    refused: list[float] = []
    while (now := clock.now - began) < 20:
        due += [clock.now] * 5 * (3 < now < 4)
        for _ in [at for at in due if at <= clock.now]:
            due.remove(min(due))
            if not crowd.arrive():
                refused.append(now)
                due += [clock.now + 1] * (len(due) + len(crowd.admitted) < 40)
        if crowd.admitted:
            crowd.admitted.pop(0).close()
            gate.record_duration(cost_s)
            due += [clock.now] * (len(due) + len(crowd.admitted) < 40)
        clock.now += cost_s
    assert min(refused) > 3
    assert max(refused) < 10, "for ever"


def test_what_it_costs_is_learnt(clock: Clock) -> None:
    gate = single_slot_shedder()
    for _ in range(100):
        gate.record_duration(0.01)
    assert 190 <= sum(Callers.arrive(crowd) for crowd in [Callers(gate)] * 300) <= 202


def test_several_places_share_the_work(clock: Clock) -> None:
    crowd = Callers(LoadShedder("tests", 4, max_wait_s=2.0, service_time_s=COST_S))
    assert sum(crowd.arrive() for _ in range(200)) == 84


def test_who_waits_for_something_else_is_not_in_the_way(clock: Clock) -> None:
    gate = single_slot_shedder()
    for _ in range(21):
        gate.acquire()
    with pytest.raises(Unavailable):
        gate.acquire()
    gate.acquire(excluded=10)
    with pytest.raises(Unavailable):
        gate.acquire(excluded=1)


def test_held_target_may_be_below_the_detection_target(clock: Clock) -> None:
    gate = LoadShedder(
        "tests",
        1,
        max_wait_s=2.0,
        service_time_s=COST_S,
        target_s=0.5,
        interval_s=0.3,
        overload_target_s=0.2,
    )
    crowd = Callers(gate)
    waiting = waiting_after_overload(crowd, clock, 40)
    assert max(waiting) > 5  # longer than what may stand, for a moment
    assert waiting[-1] <= 3
    while crowd.admitted:
        clock.now += COST_S
        crowd.serve_one()
    crowd.arrive()  # it has been empty
    assert [crowd.arrive() for _ in range(5)] == [True] * 5
