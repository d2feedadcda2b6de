"""What ``docs/operations.md`` names is there: its tests, and the settings that they ran with."""

from __future__ import annotations

import re
from pathlib import Path

from dragoman.store.drivers import hosts, pool
from dragoman.web import bodies
from tests.support import postgresql_bouncer

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


def test_figures_are_those_of_the_source() -> None:
    assert bodies.MAX_BODY_BYTES == 256 * 1024
    assert (pool.MAX_WAIT_S, pool.COMMAND_TIMEOUT_S, pool.PROBE_INTERVAL_S) == (2, 30, 0.8)
    assert hosts.CONNECTION_ATTEMPT_DELAY_S == 0.25
