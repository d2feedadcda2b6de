"""Thousands of hostile requests at every contract: no failure, no leak, nothing let in or changed.

``make fuzz`` runs the same with other numbers: twenty times as many, other ones every time.
"""

from __future__ import annotations

import pytest

from dragoman import dialects
from tests.fuzz.fuzzing import fuzz, told
from tests.support.databases import BACKENDS, Shelf

OURS = 0.9
"""Which part of all requests is drawn from our own words; the rest is schemathesis's."""

ENOUGH = 100
"""So many requests get every kind of answer."""


@pytest.mark.parametrize("contract", dialects.NAMES)
def test_hostile_values_everywhere(
    shelf: Shelf, backend: str, contract: str, number: int, start: int
) -> None:
    """In paths, queries, headers and bodies, by all who may ask and who may not."""
    each = round(number * OURS / len(dialects.NAMES) / len(BACKENDS))
    tally = fuzz(shelf, backend, contract, each, start)
    print(f"{contract} on {backend}, seed {start}: {told(tally)}")
    assert not tally.wrong, tally.report()
    assert tally.requests >= each
    reached = {status for _, status in tally.statuses}
    assert {400, 401} <= reached or each < ENOUGH, tally.statuses
    assert reached & {200, 201, 204}, tally.statuses
