"""Reads of the history: every filter has an index."""

from __future__ import annotations

import pytest

from dragoman.actions.directory import Directory
from dragoman.store import history
from tests.store.user_lists.test_query_plans import plan_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("backend", ["sqlite"], indirect=True)]

FILTERS = (
    ["user_id"], ["actor_id"], ["tenant_id"], ["action"], ["request_id"], ["since"], ["until"],
    ["user_id", "actor_id"], ["user_id", "since"], ["actor_id", "until"], ["tenant_id", "action"],
)  # fmt: skip


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("names", [[], *FILTERS], ids=",".join)
async def test_no_filter_reads_all_entries(
    directory: Directory, names: list[str], continues: bool
) -> None:
    """Without a filter the newest entries are read backwards by their id, up to the limit."""
    plan = plan_of(directory, history._query(frozenset(names), continues).sqlite)
    reads = [step for step in plan if " audit" in step]
    assert reads
    for step in reads:
        assert step.startswith("SEARCH audit") or (not names and step == "SCAN audit"), plan
