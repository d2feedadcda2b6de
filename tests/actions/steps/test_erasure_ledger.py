"""The ledger of erasures: whole lines from several processes, and what a full disk leaves."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.actions.steps import erasure_ledger
from dragoman.actions.steps.erasure_ledger import UnreadableLedger
from dragoman.rules.errors import Unavailable

AT = 1_700_000_000_000_000
APPENDER = """
import sys
from pathlib import Path
from dragoman.actions.steps import erasure_ledger
for n in range(50):
    erasure_ledger.append(Path(sys.argv[1]), [f"{sys.argv[2]}x{n}", f"{sys.argv[2]}y{n}"], 10**15)
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    erasure_ledger.append(path, ["one", "two"], AT)
    erasure_ledger.append(path, ["three"], AT + 1_500_000)
    assert path.read_text().splitlines()[0] == "one 2023-11-14T22:13:20Z"
    assert path.stat().st_mode & 0o777 == 0o600
    read = list(erasure_ledger.read(path))
    assert read == [("one", AT), ("two", AT), ("three", AT + 1_000_000)], "to the second"


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    processes = [
        subprocess.Popen([sys.executable, "-c", APPENDER, str(path), name]) for name in "abc"
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    expected = {f"{name}{pair}{n}" for name in "abc" for pair in "xy" for n in range(50)}
    public_ids = [public_id for public_id, _ in erasure_ledger.read(path)]
    assert len(public_ids) == 300
    assert set(public_ids) == expected


def test_a_line_that_was_cut_off_is_ended_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("one 2023-11-14T22:13:20Z\ntwo 2023-11-1")
    erasure_ledger.append(path, ["three"], AT)
    assert [public_id for public_id, _ in erasure_ledger.read(path)] == ["one", "three"]


@pytest.mark.parametrize("damage", ["\x00\x00\x00\n", "one 2023-11-14T22:13:20Z more\n", "-\n"])
def test_a_damaged_line_is_an_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger"
    path.write_text(f"one 2023-11-14T22:13:20Z\n{damage}")
    with pytest.raises(UnreadableLedger, match="line 2"):
        list(erasure_ledger.read(path))


def test_a_full_disk_refuses_the_erasure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger"
    erasure_ledger.append(path, ["one"], AT)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Unavailable, match="ledger of erasures"):
        erasure_ledger.append(path, ["two"], AT)
