"""Thousands of hostile requests at every contract: no failure, no leak, nothing let in or changed.

``make fuzz`` runs the same with other numbers: twenty times as many, other ones every time.
"""

from __future__ import annotations

import pytest

from dragoman import dialects
from tests.fuzz.rounds import fuzz, summary
from tests.support.databases import BACKENDS, DatabaseTemplates

OURS = 0.9
"""Which part of all requests is drawn from our own words; the rest is schemathesis's."""

ENOUGH = 100
"""So many requests get every kind of answer."""


@pytest.mark.parametrize("contract", dialects.NAMES)
def test_hostile_values_everywhere(
    database_templates: DatabaseTemplates,
    backend: str,
    contract: str,
    request_count: int,
    seed: int,
) -> None:
    """In paths, queries, headers and bodies, by all who may ask and who may not."""
    each = round(request_count * OURS / len(dialects.NAMES) / len(BACKENDS))
    tally = fuzz(database_templates, backend, contract, each, seed)
    print(f"{contract} on {backend}, seed {seed}: {summary(tally)}")
    assert not tally.failures, tally.report()
    assert tally.requests >= each
    reached = {status for _, status in tally.statuses}
    assert {400, 401} <= reached or each < ENOUGH, tally.statuses
    assert reached & {200, 201, 204}, tally.statuses
