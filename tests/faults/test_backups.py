"""A copy of SQLite's file that is taken while it is written to is a database that can be served."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite3

from tests.faults import invariants, write_load
from tests.faults.failover_clients import FailoverClients
from tests.support.databases import query
from tests.support.processes import checked_server

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_copy_under_load(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    (tmp_path / "copied").mkdir()
    with checked_server(database, tmp_path) as server, FailoverClients([server.url]) as callers:
        assert callers.wait_for_progress(20), callers.failures
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        assert callers.wait_for_progress(20), callers.failures
    assert callers.failures == [], "nobody notices"
    assert invariants.sqlite_problems(f"sqlite:///{copy}") == []
    places = asyncio.run(query(f"sqlite:///{copy}", "SELECT location FROM users"))
    assert any(place.startswith("place ") for (place,) in places)
    with checked_server(f"sqlite:///{copy}", tmp_path / "copied") as server:
        write_load.sign_in_as_admin(server.url)
