"""What ``docs/operations.md`` names is there: its tests, and the settings that they ran with."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dragoman.store.drivers import hosts, pool
from dragoman.web import bodies
from tests.support import postgresql_bouncer
from tests.support.databases import DatabaseTemplates
from tests.support.patroni import cluster
from tests.support.server import dragoman_command, environment
from tests.support.terminal import Terminal

TESTS = Path(__file__).parent.parent
TEXT = (TESTS.parent / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", TEXT))
    sources = TESTS.parent / "src" / "dragoman"
    missing = [name for name in named if not any((at / name).exists() for at in (TESTS, sources))]
    assert len(named) > 20
    assert missing == []


def test_pgbouncer_is_tested_with_what_is_told() -> None:
    for name, value in postgresql_bouncer.SETTINGS.items():
        assert f"\n{name} = {value}\n" in TEXT
    assert f"PgBouncer {'.'.join(map(str, postgresql_bouncer.MIN_VERSION))} or later" in TEXT


def test_patroni_is_tested_with_what_is_told() -> None:
    [told] = re.findall(r"```yaml\n(ttl: .*?)```", TEXT, re.DOTALL)
    assert yaml.safe_load(told) == cluster.CLUSTER_SETTINGS
    for name, value in cluster.BOUNCER_SETTINGS.items():
        assert f"\n{name} = {value}\n" in TEXT
    for setting in cluster.ROLE_SETTINGS:
        assert f"ALTER ROLE dragoman SET {setting};" in TEXT
    killed, lost = cluster.MAX_PAUSE_S.values()
    assert f"for 5 seconds ({killed:.0f} at most)" in TEXT
    assert f"(`ttl` and {lost - cluster.CLUSTER_SETTINGS['ttl']:.0f} more at most)" in TEXT


def test_figures_are_those_of_the_source() -> None:
    assert bodies.MAX_BODY_BYTES == 256 * 1024
    assert (pool.MAX_WAIT_S, pool.COMMAND_TIMEOUT_S, pool.PROBE_INTERVAL_S) == (2, 30, 0.8)
    assert hosts.CONNECTION_ATTEMPT_DELAY_S == 0.25


def test_every_event_of_the_log_is_explained() -> None:
    (section,) = re.findall(r"^## Logs$(.*?)^## ", TEXT, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    sources = [path.read_text() for path in (TESTS.parent / "src" / "dragoman").rglob("*.py")]
    assert explained == {name for source in sources for name in _events(ast.parse(source))}


def _events(module: ast.Module) -> Iterator[str]:
    """Yield the events that a module logs."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        logs = [ast.unparse(each) for each in (node.func, *node.args[:1])]
        for written, argument in zip(logs, node.args, strict=False):
            if re.fullmatch(r"(logs\.)?log(_method|\.[a-z]+)", written):
                parts = (
                    (argument.body, argument.orelse)
                    if isinstance(argument, ast.IfExp)
                    else (argument,)
                )
                yield from (str(part.value) for part in parts if isinstance(part, ast.Constant))


def _shell(command: str, folder: Path, **settings: str) -> str:
    """Run a command with ``dragoman`` on the path; return what it said on standard error."""
    program = Path(dragoman_command()[0]).parent
    env = environment(settings)
    env["PATH"] = f"{program}:{env['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-ec", command],
        check=False,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.sqlite
def test_the_nightly_backup_and_the_drill_work(
    database_templates: DatabaseTemplates, tmp_path: Path
) -> None:
    execute = dict(re.findall(r"^(ExecStart|ExecStartPost)=/bin/sh -c '(.+)'$", TEXT, re.MULTILINE))
    [drill] = re.findall(r"### A restore drill.*?```sh\n(.*?)```", TEXT, re.DOTALL)
    with database_templates.seeded("sqlite") as (database, _):
        terminal = Terminal(database, tmp_path)
        for name in ("ExecStart", "ExecStartPost"):
            command = execute[name].replace("%%", "%").replace("$$", "$")
            command = command.replace("/var/backups/dragoman", str(tmp_path))
            _shell(command, tmp_path, **terminal.settings)
        [backup] = tmp_path.glob("*.backup")
        backup.rename(tmp_path / "directory.backup")
        terminal.run("users", "erase", "mia")
        ledger = Path(terminal.settings["DRAGOMAN_ERASURES"])
        shutil.copyfile(ledger, tmp_path / ledger.name)
    said = _shell(drill, tmp_path, DRAGOMAN_SECRET_KEY=terminal.settings["DRAGOMAN_SECRET_KEY"])
    assert "1 person erased again" in said
    assert not (tmp_path / "drill").exists()
