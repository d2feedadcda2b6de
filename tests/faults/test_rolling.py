"""Nodes come and go: they start at once, the schema grows under them, they restart in turn."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from dragoman.store import migrate
from tests.faults import storm
from tests.faults.caller import serving
from tests.faults.processes import environment
from tests.faults.roundabout import CALLERS, Roundabout
from tests.faults.test_stop import end
from tests.support.databases import ADMIN_PASSWORD, query
from tests.support.server import Server

TURNS = int(os.environ.get("FAULT_RESTARTS", "1"))
"""How often each of two nodes is restarted in a rolling restart."""
DRAINED_S = 10.0
NODES = 3

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 30 * TURNS)]


def only_at_length(database: str) -> None:
    """Leave SQLite to the long form: what is asked here, it has in common with PostgreSQL."""
    if TURNS == 1 and database.startswith("sqlite"):
        pytest.skip("on SQLite `make faults` asks it")


LATER = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("users", sa.Column("later", sa.Text(), nullable=True))
    op.add_column("tokens", sa.Column("later", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("users_by_later", "users", ["later"])
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
"""
UPGRADE = """
import sys
from alembic import command
from alembic.config import Config
config = Config()
config.set_main_option("script_location", sys.argv[1])
config.attributes["database"] = sys.argv[2]
command.upgrade(config, "head")
"""


@pytest.mark.parametrize("backend", ["postgresql"])
def test_three_nodes_that_start_at_once(blank_database: str, tmp_path: Path) -> None:
    """One of them migrates and makes the first superadmin; all of them are ready."""
    settings = {**environment(blank_database), "DRAGOMAN_ADMIN_PASSWORD": ADMIN_PASSWORD}
    nodes: list[Server] = []
    for number in range(NODES):
        (folder := tmp_path / str(number)).mkdir()
        nodes.append(Server(settings, folder))
    try:
        with ThreadPoolExecutor(NODES) as pool:
            for started in [pool.submit(node.start) for node in nodes]:
                started.result()
        told = ["The first superadmin was created" in node.said() for node in nodes]
        assert told.count(True) == 1, "one of them made it"
        for node in nodes:
            storm.enter(node.url)
            node.stop()
    finally:
        for node in nodes:
            node.kill()
    assert asyncio.run(query(blank_database, "SELECT count(*) FROM users")) == [(1,)]


def test_the_schema_grows_under_a_node(database: str, tmp_path: Path) -> None:
    """The next version's migration is applied while this one serves: its calls go on, and it is ready."""
    only_at_length(database)
    with serving(database, tmp_path, workers=2) as server:
        with Roundabout([server.url]) as callers:
            assert callers.progress(20), callers.failures
            add_to_the_schema(database, tmp_path / "migrations")
            told = [failure for failure in callers.failures if ": 503 " in failure]
            assert callers.progress(20), callers.failures
        # A migration holds its tables until it is through: on a slow machine some come back later.
        assert callers.failures == told
        assert len(told) <= CALLERS
        assert callers.forgotten() == []
        assert httpx.get(f"{server.url}/readyz").status_code == 200
    late = Server(environment(database), tmp_path)
    with pytest.raises(RuntimeError, match="newer than this program"):
        late.start()


def add_to_the_schema(database: str, scripts: Path) -> None:
    """Migrate as a node of the next version does when it starts."""
    shutil.copytree(migrate.SCRIPTS, scripts)
    (scripts / "versions" / "9999_later.py").write_text(LATER.format(head=migrate.HEAD))
    command = [sys.executable, "-c", UPGRADE, str(scripts), database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert asyncio.run(query(database, "SELECT count(*) FROM later")) == [(0,)]


def test_a_rolling_restart(database: str, tmp_path: Path) -> None:
    """Two nodes are restarted in turn under load: whoever asks the other one is always served."""
    only_at_length(database)
    nodes: list[Server] = []
    for name in ("one", "two"):
        (folder := tmp_path / name).mkdir()
        nodes.append(Server(environment(database), folder))
    try:
        for node in nodes:
            node.start()
        with Roundabout([node.url for node in nodes]) as callers:
            for _ in range(TURNS):
                for node in nodes:
                    assert callers.progress(20), callers.failures
                    assert end(node, signal.SIGTERM) < DRAINED_S
                    assert callers.progress(20), callers.failures
                    node.start()
            assert callers.progress(20), callers.failures
        assert callers.failures == []
        assert callers.went_round > 0, "nobody ever had to ask the other node"
        assert callers.forgotten() == []
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.kill()
