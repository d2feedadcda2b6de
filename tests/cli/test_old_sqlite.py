"""An installation whose only SQLite is too old: one sentence from every command, and no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.store.drivers.sqlite_library import REMEDY
from tests.support.server import free_port

OLD_SQLITE = """
import sqlite3, sys
sys.modules["apsw"] = None  # as if it were not installed
sqlite3.sqlite_version, sqlite3.sqlite_version_info = "3.40.1", (3, 40, 1)
"""
SENTENCE = (
    "SQLite 3.40.1, which sqlite3 uses, is too old: Dragoman needs 3.51.3 or later; " + REMEDY
)


def run_with_old_sqlite(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a new folder, as an operator would on a machine without apsw."""
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(OLD_SQLITE)
    (folder / "work").mkdir()
    environment = {key: value for key, value in os.environ.items() if "DRAGOMAN" not in key}
    return subprocess.run(
        [sys.executable, "-m", "dragoman", *arguments],
        cwd=folder / "work",
        env=environment | {"PYTHONPATH": str(folder / "python")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command", ["serve --port PORT", "migrate", "users list", "backup copy.backup"]
)
def test_every_command_says_so_in_one_line(command: str, tmp_path: Path) -> None:
    arguments = command.replace("PORT", str(free_port())).split()
    done = run_with_old_sqlite(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    *before, last = done.stderr.splitlines()
    if command.startswith("serve"):  # which writes its log there
        assert [json.loads(line)["event"] for line in before] == [
            "server_starting",
            "server_stopped",
        ]
        assert json.loads(last)["message"] == SENTENCE
    else:
        assert (before, last) == ([], f"dragoman: {SENTENCE}")
    assert list((tmp_path / "work").iterdir()) == []


def test_doctor_reports_it_as_a_finding(tmp_path: Path) -> None:
    done = run_with_old_sqlite(tmp_path, "doctor")
    failed = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    found, _, advice = SENTENCE.partition("; ")
    consequence = "no server starts, and no command runs: it could damage the file"
    assert failed == [f"fail  sqlite: {found}; {consequence} -> {advice}"]
    assert done.returncode == 1
    assert list((tmp_path / "work").iterdir()) == []
