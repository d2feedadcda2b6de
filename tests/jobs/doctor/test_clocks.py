"""The doctor compares the clocks of all nodes with the database's."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.actions.directory import Directory
from dragoman.actions.system import system_actor
from dragoman.jobs import node_clocks
from dragoman.jobs.doctor import OK, WARN, clocks
from dragoman.jobs.doctor.finding import Finding
from dragoman.rules.model import DAY, SECOND
from dragoman.store import clocks as store
from dragoman.store.clocks import NodeClock

pytestmark = pytest.mark.anyio
MINE = system_actor("tests")


async def finding(directory: Directory) -> Finding:
    return await clocks.check(directory.read(MINE), directory.settings)


def run_as(monkeypatch: pytest.MonkeyPatch, node: str, *, ahead_s: float) -> None:
    """Let this process be another node, whose clock is that far ahead."""
    right = store.time.time_ns
    monkeypatch.setattr(store, "now", lambda: right() // 1000 + round(ahead_s * SECOND))
    monkeypatch.setattr(node_clocks.socket, "gethostname", lambda: node)


@pytest.mark.postgresql
@pytest.mark.parametrize("backend", ["postgresql"])
class TestPostgreSQL:
    async def test_clocks_agree(self, directory: Directory):
        await node_clocks.compare_clock(directory)
        found = await finding(directory)
        assert found.state == OK
        assert found.found.startswith("against the database's: this machine ")

    @pytest.mark.parametrize("ahead_s", [-90.0, 30.0])
    async def test_another_node(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch, ahead_s: float
    ):
        with monkeypatch.context() as patch:
            run_as(patch, "web2", ahead_s=ahead_s)
            await node_clocks.compare_clock(directory)
        found = await finding(directory)
        assert found.state == WARN
        assert f"web2 {ahead_s:+.0f}" in found.found
        assert "timedatectl" in found.advice
        with monkeypatch.context() as patch:
            run_as(patch, "web2", ahead_s=0)
            await node_clocks.compare_clock(directory)
        assert (await finding(directory)).state == OK

    async def test_this_machine(self, directory: Directory, monkeypatch: pytest.MonkeyPatch):
        run_as(monkeypatch, "web1", ahead_s=7)
        assert (await finding(directory)).state == WARN

    async def test_nodes_that_are_gone(self, directory: Directory):
        here = await store.measure(directory.read(MINE))
        gone: list[Any] = [
            NodeClock("hour", 99 * SECOND, here.at - DAY // 24),
            NodeClock("days", 99 * SECOND, here.at - 2 * DAY),
        ]
        async with directory.begin(MINE) as tx:
            for clock in gone:
                await store.save(tx, clock)
        assert (await finding(directory)).state == OK
        assert await node_clocks.compare_clock(directory) == 1
        names = [each.node for each in await store.list_all(directory.read(MINE))]
        assert "hour" in names
        assert "days" not in names


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
async def test_sqlite_has_one_clock(directory: Directory):
    assert await node_clocks.compare_clock(directory) == 0
    assert await store.list_all(directory.read(MINE)) == []
    assert (await finding(directory)).found == "one machine, one clock"
    assert abs((await store.measure(directory.read(MINE))).ahead) < SECOND
