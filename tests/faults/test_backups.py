"""A copy of SQLite's file that is taken while it is written to is a database that can be served."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite3

from tests.faults import aftermath, storm
from tests.faults.caller import serving
from tests.faults.roundabout import Roundabout
from tests.support.databases import query

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_copy_under_load(database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    (tmp_path / "copied").mkdir()
    with serving(database, tmp_path) as server, Roundabout([server.url]) as callers:
        assert callers.progress(20), callers.failures
        path = database.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        assert callers.progress(20), callers.failures
    assert callers.failures == [], "nobody notices"
    assert aftermath.integrity(f"sqlite:///{copy}") == []
    places = asyncio.run(query(f"sqlite:///{copy}", "SELECT location FROM users"))
    assert any(place.startswith("place ") for (place,) in places)
    with serving(f"sqlite:///{copy}", tmp_path / "copied") as server:
        storm.enter(server.url)
