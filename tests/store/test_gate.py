"""The queue in front of what is scarce: bursts are taken in, a standing one is refused."""

from __future__ import annotations

import contextlib

import pytest

from dragoman import load_shedding as module
from dragoman.load_shedding import PATIENCE_S, TARGET_S, Gate
from dragoman.rules.errors import Unavailable

COST_S = 0.1


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Crowd:
    """People before a gate of one place; whoever came first is served first."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[contextlib.ExitStack] = []

    def come(self) -> bool:
        stack = contextlib.ExitStack()
        try:
            stack.enter_context(self.gate.entered())
        except Unavailable:
            return False
        self.inside.append(stack)
        return True

    def serve(self) -> None:
        self.inside.pop(0).close()
        self.gate.took(COST_S)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def gate_of_one(longest_s: float = 2.0) -> Gate:
    return Gate("tests", 1, longest_s=longest_s, cost_s=COST_S)


def test_a_burst_is_taken_in_up_to_the_longest(clock: Clock) -> None:
    crowd = Crowd(gate_of_one())
    came = [crowd.come() for _ in range(50)]
    assert sum(came) == 21  # one is being served, two seconds' work waits
    assert came == sorted(came, reverse=True)


def test_who_is_refused_is_told_how_long_the_others_need(clock: Clock) -> None:
    crowd = Crowd(gate_of_one(longest_s=5.0))
    while crowd.come():
        pass
    with pytest.raises(Unavailable) as told, crowd.gate.entered():
        pass
    assert told.value.retry_after == 6
    assert str(told.value) == "tests"


def offered(crowd: Crowd, clock: Clock, times: int) -> list[int]:
    """Offer twice what can be done, so many times; return how many wait after each."""
    waiting: list[int] = []
    for _ in range(times):
        clock.now += COST_S
        crowd.come()
        crowd.come()
        crowd.serve()
        waiting.append(len(crowd.inside))
    return waiting


def test_a_queue_that_stands_is_held_short_and_nobody_idles(clock: Clock) -> None:
    crowd = Crowd(gate_of_one())
    waiting = offered(crowd, clock, 200)
    assert max(waiting) <= (TARGET_S + PATIENCE_S) / COST_S + 2
    assert all(1 <= n <= TARGET_S / COST_S + 2 for n in waiting[100:])


def test_once_it_has_been_empty_bursts_are_taken_in_again(clock: Clock) -> None:
    crowd = Crowd(gate_of_one())
    offered(crowd, clock, 200)
    while crowd.inside:
        crowd.serve()
    assert sum(crowd.come() for _ in range(50)) == 21


def test_what_was_served_before_a_burst_is_served_after_it(clock: Clock) -> None:
    """Clients who all come again at once, or a second after a refusal; guests stay for a while."""
    cost_s = COST_S / 10
    gate = Gate("tests", 1, longest_s=2.0, cost_s=cost_s, target_s=0.5, patience_s=0.3, held_s=0.2)
    crowd, began = Crowd(gate), clock.now
    due = [clock.now] * 40  # less than makes a queue stand, more than is held where it does
    refused: list[float] = []
    while (now := clock.now - began) < 20:
        due += [clock.now] * 5 * (3 < now < 4)
        for _ in [at for at in due if at <= clock.now]:
            due.remove(min(due))
            if not crowd.come():
                refused.append(now)
                due += [clock.now + 1] * (len(due) + len(crowd.inside) < 40)
        if crowd.inside:
            crowd.inside.pop(0).close()
            gate.took(cost_s)
            due += [clock.now] * (len(due) + len(crowd.inside) < 40)
        clock.now += cost_s
    assert min(refused) > 3
    assert max(refused) < 10, "for ever"


def test_what_it_costs_is_learnt(clock: Clock) -> None:
    gate = gate_of_one()
    for _ in range(100):
        gate.took(0.01)
    assert 190 <= sum(Crowd.come(crowd) for crowd in [Crowd(gate)] * 300) <= 202


def test_several_places_share_the_work(clock: Clock) -> None:
    crowd = Crowd(Gate("tests", 4, longest_s=2.0, cost_s=COST_S))
    assert sum(crowd.come() for _ in range(200)) == 84


def test_who_waits_for_something_else_is_not_in_the_way(clock: Clock) -> None:
    gate = gate_of_one()
    for _ in range(21):
        gate.enter()
    with pytest.raises(Unavailable):
        gate.enter()
    gate.enter(aside=10)
    with pytest.raises(Unavailable):
        gate.enter(aside=1)


def test_what_stands_may_be_held_shorter_than_what_made_it_stand(clock: Clock) -> None:
    gate = Gate("tests", 1, longest_s=2.0, cost_s=COST_S, target_s=0.5, patience_s=0.3, held_s=0.2)
    crowd = Crowd(gate)
    waiting = offered(crowd, clock, 40)
    assert max(waiting) > 5  # longer than what may stand, for a moment
    assert waiting[-1] <= 3
    while crowd.inside:
        clock.now += COST_S
        crowd.serve()
    crowd.come()  # it has been empty
    assert [crowd.come() for _ in range(5)] == [True] * 5
