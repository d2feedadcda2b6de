"""What tests believe of the servers that they start and kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server import _is_live_member

LINE = "7 (a ) b) {state} 1 {group} 40 0 -1 4227084 1084 0 0 0 1 0 0 0 20 0 {threads} 0 867171"


@pytest.mark.parametrize(
    ("state", "group", "threads", "lives"),
    [
        ("S", 40, 1, True),
        ("R", 40, 9, True),
        ("Z", 40, 2, True),  # its first thread is dead, another may still hold its port
        ("Z", 40, 1, False),
        ("X", 40, 0, False),
        ("S", 41, 1, False),
    ],
)
def test_a_process_is_dead_when_all_its_threads_are(
    tmp_path: Path, state: str, group: int, threads: int, lives: bool
) -> None:
    table = tmp_path / "stat"
    table.write_text(LINE.format(state=state, group=group, threads=threads))
    assert _is_live_member(40, table) is lives


def test_a_process_that_is_gone_is_dead(tmp_path: Path) -> None:
    assert not _is_live_member(40, tmp_path / "stat")
