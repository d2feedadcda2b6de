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
from tests.faults import write_load
from tests.faults.failover_clients import CALLERS, FailoverClients
from tests.faults.test_graceful_shutdown import stop_and_check
from tests.support.databases import ADMIN_PASSWORD, query
from tests.support.processes import checked_server, environment
from tests.support.server import Server

TURNS = int(os.environ.get("FAULT_RESTARTS", "1"))
"""How often each of two nodes is restarted in a rolling restart."""
DRAINED_S = 10.0
NODES = 3

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120 + 30 * TURNS)]


def skip_sqlite_in_short_runs(database: str) -> None:
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
    settings["DRAGOMAN_LOG_LEVEL"] = "info"
    nodes: list[Server] = []
    for number in range(NODES):
        (folder := tmp_path / str(number)).mkdir()
        nodes.append(Server(settings, folder))
    try:
        with ThreadPoolExecutor(NODES) as pool:
            for started in [pool.submit(node.start) for node in nodes]:
                started.result()
        announced = [node.logged("first_superadmin") for node in nodes]
        assert sum(map(len, announced)) == 1, "one of them made it"
        for node in nodes:
            write_load.sign_in_as_admin(node.url)
            node.stop()
    finally:
        for node in nodes:
            node.kill()
    assert asyncio.run(query(blank_database, "SELECT count(*) FROM users")) == [(1,)]


def test_the_schema_grows_under_a_node(database: str, tmp_path: Path) -> None:
    """The next version's migration is applied while this one serves: its calls go on, and it is ready."""
    skip_sqlite_in_short_runs(database)
    with checked_server(database, tmp_path, workers=2) as server:
        with FailoverClients([server.url]) as callers:
            assert callers.wait_for_progress(20), callers.failures
            add_to_the_schema(database, tmp_path / "migrations")
            unavailable = [failure for failure in callers.failures if ": 503 " in failure]
            assert callers.wait_for_progress(20), callers.failures
        # A migration holds its tables until it is through: on a slow machine some come back later.
        assert callers.failures == unavailable
        assert len(unavailable) <= CALLERS
        assert callers.lost_writes() == []
        assert httpx.get(f"{server.url}/readyz").status_code == 200
    late = Server(environment(database), tmp_path)
    with pytest.raises(RuntimeError, match="newer than this program"):
        late.start()


def add_to_the_schema(database: str, scripts: Path) -> None:
    """Migrate as a node of the next version does when it starts."""
    shutil.copytree(migrate.SCRIPT_LOCATION, scripts)
    (scripts / "versions" / "9999_later.py").write_text(LATER.format(head=migrate.HEAD_REVISION))
    command = [sys.executable, "-c", UPGRADE, str(scripts), database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert asyncio.run(query(database, "SELECT count(*) FROM later")) == [(0,)]


def test_a_rolling_restart(database: str, tmp_path: Path) -> None:
    """Two nodes are restarted in turn under load: whoever asks the other one is always served."""
    skip_sqlite_in_short_runs(database)
    nodes: list[Server] = []
    for name in ("one", "two"):
        (folder := tmp_path / name).mkdir()
        nodes.append(Server(environment(database), folder))
    try:
        for node in nodes:
            node.start()
        with FailoverClients([node.url for node in nodes]) as callers:
            for _ in range(TURNS):
                for node in nodes:
                    assert callers.wait_for_progress(20), callers.failures
                    assert stop_and_check(node, signal.SIGTERM) < DRAINED_S
                    assert callers.wait_for_progress(20), callers.failures
                    node.start()
            assert callers.wait_for_progress(20), callers.failures
        assert callers.failures == []
        assert callers.failovers > 0, "nobody ever had to ask the other node"
        assert callers.lost_writes() == []
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.kill()
