"""Keys that the rows of a file have claimed, in memory and on the disk."""

from __future__ import annotations

import random
from collections.abc import Generator

import pytest

from dragoman.store import seen_keys
from dragoman.store.seen_keys import SeenKeys


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Generator[SeenKeys]:
    monkeypatch.setattr(seen_keys, "RUN_LENGTH", 100)
    keys = SeenKeys()
    yield keys
    keys.close()


def _numbers(count: int, seed: int) -> list[tuple[int, int]]:
    source = random.Random(seed)
    return [(source.randrange(-(2**63), 2**63), source.randrange(2**63)) for _ in range(count)]


def test_each_claim_is_found_in_whatever_run_it_is(seen: SeenKeys) -> None:
    claimed, others = _numbers(1_050, 1), _numbers(1_050, 2)
    for first in range(0, len(claimed), 70):
        seen.claim(
            [
                (key, check, line, -line)
                for line, (key, check) in enumerate(claimed[first : first + 70], first)
            ]
        )
    found = seen.find([*others, *claimed])
    assert found == {key: (line, -line) for line, (key, _) in enumerate(claimed)}
    assert seen.find(others) == {}


def test_keys_that_are_equal_by_chance_are_told_apart(seen: SeenKeys) -> None:
    claimed = _numbers(300, 3)
    seen.claim([(key, check, 7, 8) for key, check in claimed])
    # The filter lets them through: their checks share the bits that it looks at.
    alike = [(key, check ^ (1 << 40)) for key, check in claimed]
    assert seen.find(alike) == {}


def test_the_filter_spares_most_lookups(seen: SeenKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.claim([(*number, 1, 1) for number in _numbers(1_000, 4)])
    monkeypatch.setattr(seen, "_connection", None)  # a look-up in the table would fail
    assert seen.find(_numbers(1_000, 5)) == {}
    monkeypatch.undo()
