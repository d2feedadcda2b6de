"""The judges of a storm are judged: whatever is taken away, added or bent behind them, they see."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite3

from tests.faults import aftermath, storm
from tests.faults.caller import serving
from tests.faults.doors import everywhere, keep_an_owner
from tests.faults.journal import Journal
from tests.faults.processes import wait_for
from tests.faults.storm import Progress, Storm
from tests.faults.tongues import VERBS

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

_LAST = "(SELECT max(id) FROM audit WHERE request_id LIKE 'storm-%' AND action = '{}')"
_ALIVE = "deleted_at IS NULL AND username <> 'admin' LIMIT 1)"
BENDS = {
    "a change without its history": (
        f"UPDATE audit SET request_id = 'lost' WHERE id = {_LAST.format('users.update')}",
        "acknowledged, and not in the history",
    ),
    "a history twice": (
        (
            "INSERT INTO audit (at, actor_kind, contract, action, target_kind, target_id, request_id)"
            " SELECT at, actor_kind, contract, action, target_kind, target_id, request_id FROM audit"
            f" WHERE id = {_LAST.format('users.update')}"
        ),
        "half in the history, or twice",
    ),
    "half of an acceptance": (
        (
            "UPDATE audit SET request_id = 'lost' WHERE target_kind = 'invitation' AND id ="
            f" {_LAST.format('accept_invitation')}"
        ),
        "half in the history, or twice",
    ),
    "a change that nobody asked for": (
        f"UPDATE audit SET request_id = 'storm-0' WHERE id = {_LAST.format('users.update')}",
        "nobody asked for",
    ),
    "a history without its change": (
        (
            "UPDATE users SET location = 'elsewhere', first_name = 'Eve' WHERE id ="
            f" (SELECT id FROM users WHERE {_ALIVE}"
        ),
        "should be",
    ),
    "a session that outlives its end": (
        f"UPDATE users SET auth_epoch = 99 WHERE id = (SELECT id FROM users WHERE {_ALIVE}",
        "auth_epoch should be",
    ),
    "a counter that was left behind": (
        "UPDATE counts SET n = n + 1 WHERE tenant_id > 0",
        "a counter is off",
    ),
    "a name that nobody let go": (
        "UPDATE names SET user_id = 1 WHERE key LIKE 'u%@storm.test'",
        "held by 1",
    ),
    "a mail that was lost": (
        "DELETE FROM outbox WHERE kind = 'invitation'",
        "mails with them",
    ),
    "a mail without its link": (
        (
            "INSERT INTO outbox (kind, user_id, recipient, payload, created_at, due_at)"
            """ VALUES ('reset', 1, 'nobody@storm.test', '{"generation": 9}', 1, 1)"""
        ),
        "links for new passwords",
    ),
    "a password that was not set": (
        (
            "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE id = 1)"
            " WHERE deleted_at IS NULL"
        ),
        "its password does not open it",
    ),
    "a user who was lost": (
        f"DELETE FROM users WHERE id = (SELECT id FROM users WHERE {_ALIVE}",
        "is not there",
    ),
}


def judged(journal: Journal, path: Path) -> list[str]:
    """Return what the judges find in a database."""
    database = f"sqlite:///{path}"
    return aftermath.settle(journal, database) + aftermath.damage(journal, database, hashes=2)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_whatever_is_bent_is_found(database: str, tmp_path: Path) -> None:
    """After a storm nothing is found; after each bend of a copy of the same file, that bend."""
    journal = Journal(7)
    with serving(database, tmp_path) as server:
        token, tenant = storm.enter(server.url)
        opened = everywhere(server.url, database)
        keep_an_owner(journal, server.url, opened, tenant)
        with Storm(journal, server.url, token, tenant, writers=4, doors=opened) as blowing:
            assert wait_for(partial(varied, journal), 60)
            assert Progress(blowing).wait(30)
    path = Path(database.removeprefix("sqlite:///"))
    assert judged(journal, path) == []
    assert journal.surprises == []
    for bend, (statement, told) in BENDS.items():
        copy = tmp_path / f"{bend}.db"
        with (
            contextlib.closing(sqlite3.connect(path)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            changed = target.execute(statement).rowcount
            target.commit()
        assert changed > 0, bend
        faults = judged(journal, copy)
        assert any(told in fault for fault in faults), (bend, faults)


def varied(journal: Journal) -> bool:
    """Say whether everything was done that is bent later, and something by each contract."""
    done = journal.done.copy()
    contracts = {each.partition(" ")[0] for each in done}
    return contracts == VERBS.keys() and done["wiwebb patch"] > 1 and done["vsay create"] > 1
