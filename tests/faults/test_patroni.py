"""A Patroni cluster loses its primary in a storm: no acknowledged write is lost, and it is quick."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faults.patroni_failovers import Report
from tests.support import memory_folder
from tests.support.patroni import network, programs
from tests.support.patroni.cluster import MAX_PAUSE_S

ROUNDS = int(os.environ.get("FAULT_FAILOVERS", "0"))
"""How often the primary ends in each way."""
RUN_S = 180 + 150 * ROUNDS

pytestmark = [pytest.mark.faults, pytest.mark.postgresql, pytest.mark.timeout(60 + RUN_S)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the machines keep everything."""
    root = memory_folder.temporary_root()
    with tempfile.TemporaryDirectory(dir=root, ignore_cleanup_errors=True) as place:
        yield Path(place)


def report_of_failovers(folder: Path) -> Report:
    """Run the failovers in namespaces, which end with us; raise AssertionError if they do not end."""
    words = [sys.executable, "-m", "tests.faults.patroni_failovers", str(folder), str(ROUNDS)]
    output = folder / "output"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            network.command(words),
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            status = process.wait(RUN_S)
        except subprocess.TimeoutExpired:
            status = None
            process.kill()
    text = output.read_text(errors="replace")
    assert status == 0, f"status {status}\n{text}"
    return msgspec.json.decode(text.splitlines()[-1], type=Report)


def test_what_keeps_a_cluster_from_running_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "command", lambda _: ["sh", "-c", "echo refused >&2; exit 1"])
    assert network.missing() == "network namespaces are not allowed: refused"
    monkeypatch.setattr(programs, "PATRONI_FOLDER", tmp_path)
    monkeypatch.setattr(programs, "_fetch_patroni", lambda: None)
    monkeypatch.setattr(programs, "_fetch_etcd", lambda: None)
    programs.main()
    assert "*** no failover of a Patroni cluster is tested: " in capsys.readouterr().err


def test_a_cluster_loses_its_primary(folder: Path) -> None:
    if not ROUNDS:
        pytest.skip("make faults runs it")
    if reason := programs.missing():
        pytest.skip(reason)
    report = report_of_failovers(folder)
    for failover in report.failovers:
        print(failover)
    print(f"{report.acknowledged} acknowledged writes, {report.statuses}")
    assert report.problems == []
    assert [failover.end for failover in report.failovers] == [*MAX_PAUSE_S] * ROUNDS
    too_long = [
        failover
        for failover in report.failovers
        if max(failover.direct_s, failover.pgbouncer_s) > MAX_PAUSE_S[failover.end]
    ]
    assert too_long == []
    assert all(min(failover.direct_s, failover.pgbouncer_s) > 1 for failover in report.failovers), (
        "a primary that ended must have been missed"
    )
    assert set(report.statuses) <= {"200", "201", "204", "400", "503"}
