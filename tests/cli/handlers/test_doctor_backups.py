"""The doctor knows when the last backup was made."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from dragoman.rules.model import DAY
from dragoman.store.transaction import now
from tests.support.databases import DatabaseTemplates
from tests.support.rows import open_rows
from tests.support.terminal import Terminal


def finding(terminal: Terminal, **settings: str) -> dict[str, Any]:
    done = terminal.run("doctor", "-o", "json", **settings)
    return next(each for each in json.loads(done.stdout) if each["check"] == "backups")


def test_the_last_backup(terminal: Terminal, tmp_path: Path) -> None:
    found = finding(terminal)
    assert found["state"] == "warn"
    assert found["found"] == "'dragoman backup' was never run"
    assert "dragoman backup" in found["advice"]
    before = now()
    assert terminal.run("backup", str(tmp_path / "one.backup")).exit_code == 0
    found = finding(terminal)
    assert (found["state"], found["found"]) == ("ok", "the last one was made 0 hours ago")
    (entry,) = terminal.run("history", "--action", "backups.create", "-o", "json").json()
    assert entry["actor"] == "command line"
    for days, state in ((2, "ok"), (4, "warn")):
        taken_at = before - days * DAY
        terminal.execute(f"UPDATE server_state SET value = '{taken_at}' WHERE key = 'last_backup'")
        found = finding(terminal)
        assert (found["state"], found["found"]) == (state, f"the last one was made {days} days ago")
    assert finding(terminal, DRAGOMAN_BACKUP_DAYS="5")["state"] == "ok"
    assert finding(terminal, DRAGOMAN_BACKUP_DAYS="0")["state"] == "ok"


def test_a_failed_backup_does_not_count(sqlite_terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    path.write_text("mine")
    assert sqlite_terminal.run("backup", str(path)).exit_code == 1
    assert finding(sqlite_terminal)["state"] == "warn"


async def refuse_writes(database: str) -> None:
    """Let new connections be read-only, as those to a standby are."""
    name = database.partition("?")[0].rpartition("/")[2]
    rows = await open_rows(database)
    try:
        change = f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
        await rows.execute([(change, [])])
    finally:
        await rows.close()


def test_a_database_that_cannot_note_it(
    database_templates: DatabaseTemplates, tmp_path: Path
) -> None:
    """As on a standby: the backup is complete nevertheless."""
    with database_templates.empty("postgresql") as url:
        terminal = Terminal(url, tmp_path)
        asyncio.run(refuse_writes(url))
        path = tmp_path / "one.backup"
        done = terminal.run("backup", str(path))
        assert (done.exit_code, path.exists()) == (0, True), done.stderr
        assert "the database cannot note it" in done.stderr
        assert finding(terminal)["found"] == "'dragoman backup' was never run"
