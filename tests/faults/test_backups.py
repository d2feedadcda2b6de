"""Backups and copies that are taken while the database is written to are consistent."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from dragoman.store.drivers import sqlite_library
from tests.faults import invariants, write_load
from tests.faults.failover_clients import SIGN_IN_EVERY, FailoverClients
from tests.support.databases import DatabaseTemplates, query
from tests.support.processes import checked_server
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


@pytest.mark.sqlite
@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_copy_under_load(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    (tmp_path / "copied").mkdir()
    with checked_server(database, tmp_path) as server, FailoverClients([server.url]) as callers:
        assert callers.wait_for_progress(20), callers.failures
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite_library.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        assert callers.wait_for_progress(20), callers.failures
    assert callers.failures == [], "nobody notices"
    assert invariants.sqlite_problems(f"sqlite:///{copy}") == []
    places = asyncio.run(query(f"sqlite:///{copy}", "SELECT location FROM users"))
    assert any(place.startswith("place ") for (place,) in places)
    with checked_server(f"sqlite:///{copy}", tmp_path / "copied") as server:
        write_load.sign_in_as_admin(server.url)


def _changes_up_to(number: int) -> int:
    """Return how many changes a caller has made when it has written ``place NUMBER``."""
    return sum(1 for n in range(1, number + 1, 2) if n % SIGN_IN_EVERY)


def test_a_backup_under_load(
    database: str, backend: str, database_templates: DatabaseTemplates, tmp_path: Path
) -> None:
    """It holds what was acknowledged before it began, and each change with its history."""
    file = tmp_path / "backup"
    with checked_server(database, tmp_path) as server, FailoverClients([server.url]) as callers:
        assert callers.wait_for_progress(20), callers.failures
        before = callers.acknowledged()
        done = Terminal(database, tmp_path).spawn("backup", str(file))
        assert done.exit_code == 0, done.stderr
        assert callers.wait_for_progress(20), callers.failures
    assert callers.failures == [], "nobody notices"
    with database_templates.blank(OTHER[backend]) as target:
        terminal = Terminal(target, tmp_path)
        assert terminal.run("restore", str(file), "--no-erasures").exit_code == 0
        assert [
            f for f in terminal.run("doctor", "-o", "ndjson").lines() if f["state"] == "fail"
        ] == []
        places = dict(
            asyncio.run(query(target, "SELECT id, location FROM users WHERE location <> ''"))
        )
        changes = asyncio.run(
            query(
                target,
                "SELECT target_id, count(*) FROM audit WHERE action = 'users.update'"
                " GROUP BY target_id",
            )
        )
        numbers = {user_id: int(place.split()[1]) for user_id, place in places.items()}
        assert dict(changes) == {user_id: _changes_up_to(n) for user_id, n in numbers.items()}
        for user_id, place in before.items():
            assert numbers[user_id] >= int(place.split()[1]), "acknowledged, and not in the backup"
        with checked_server(target, tmp_path) as server:
            write_load.sign_in_as_admin(server.url)
