"""`dragoman doctor` compares the ledger of erasures with the database."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.databases import erasures_path
from tests.support.terminal import Terminal


def finding(terminal: Terminal, **settings: str) -> tuple[str, str]:
    done = terminal.run("doctor", "-o", "ndjson", **settings)
    assert done.exit_code in {0, 1}
    lines = [line for line in done.stdout.splitlines() if '"check":"erasures"' in line]
    assert len(lines) == 1
    found = json.loads(lines[0])
    return found["state"], found["found"]


def test_the_ledger_and_the_table_agree(terminal: Terminal) -> None:
    assert finding(terminal) == ("ok", "none yet")
    for name in ("olga", "otto", "mia"):
        terminal.create(name)
    for name in ("olga", "otto"):
        assert terminal.run("users", "erase", name).exit_code == 0
    path = erasures_path(terminal.database)
    assert finding(terminal) == ("ok", f"2, all in {path}")
    first, second = path.read_text().splitlines(keepends=True)
    path.write_text(second)
    state, found = finding(terminal)
    assert (state, found) == ("warn", f"1 of 2 erasures are not in {path}")
    mia = terminal.run("users", "show", "mia", "-o", "json").json()
    path.write_text(f"{first}{second}{mia['public_id']} 2026-01-01T00:00:00Z\n")
    assert finding(terminal) == ("warn", f"{path} names users who are not erased: {mia['id']}")
    path.write_text("?\n")
    assert finding(terminal)[0] == "fail"


def test_a_ledger_that_cannot_be_written(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "ledger"
    state, found = finding(sqlite_terminal, DRAGOMAN_ERASURES=str(missing))
    assert (state, found) == (
        "fail",
        f"the ledger {missing} cannot be written",
    )
