"""The judges of a storm are judged: whatever is taken away, added or bent behind them, they see."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import pytest

from dragoman.store.drivers import sqlite_library
from tests.faults import invariants, write_load
from tests.faults.admin_credentials import add_permanent_owner, sign_in_everywhere
from tests.faults.contract_requests import VERBS
from tests.faults.journal import Journal
from tests.faults.write_load import Progress, WriteLoad
from tests.support.processes import checked_server, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.sqlite, pytest.mark.timeout(120)]

_LAST = "(SELECT max(id) FROM audit WHERE request_id LIKE 'storm-%' AND action = '{}')"
_ALIVE = "deleted_at IS NULL AND username <> 'admin' LIMIT 1)"
CORRUPTIONS = {
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
            f" {_LAST.format('invitations.accept')}"
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
    "a mail that proves no address": (
        (
            "INSERT INTO outbox (kind, user_id, recipient, payload, created_at, due_at)"
            """ VALUES ('verify', 1, 'nobody@storm.test', '{"generation": 9}', 1, 1)"""
        ),
        "links for proofs of addresses",
    ),
    "a link that undoes nothing": (
        (
            "INSERT INTO one_time (user_id, purpose, generation, user_epoch, data, expires_at)"
            " VALUES (1, 'undo:nobody@storm.test', 1, 0, 'nobody@storm.test', 1)"
        ),
        "a link that nobody asked for",
    ),
    "an approval that nobody gave, or lost": (
        f"UPDATE users SET approved = NOT approved WHERE id = (SELECT id FROM users WHERE {_ALIVE}",
        "approved should be",
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


def check_all(journal: Journal, path: Path) -> list[str]:
    """Return what the judges find in a database."""
    database = f"sqlite:///{path}"
    return invariants.resolve_in_doubt(journal, database) + invariants.database_problems(
        journal, database, hashes=2
    )


@pytest.mark.parametrize("backend", ["sqlite"])
def test_every_corruption_is_found(database: str, tmp_path: Path) -> None:
    """After a storm nothing is found; after each bend of a copy of the same file, that bend."""
    journal = Journal(7)
    with checked_server(database, tmp_path) as server:
        token, tenant = write_load.sign_in_as_admin(server.url)
        opened = sign_in_everywhere(server.url, database)
        add_permanent_owner(journal, server.url, opened, tenant)
        with WriteLoad(
            journal, server.url, token, tenant, writers=4, admin_credentials=opened
        ) as blowing:
            assert wait_for(partial(varied, journal), 60)
            assert Progress(blowing).wait(30)
    path = Path(database.removeprefix("sqlite:///"))
    assert check_all(journal, path) == []
    assert journal.unexpected_answers == []
    for corruption, (statement, expected) in CORRUPTIONS.items():
        copy = tmp_path / f"{corruption}.db"
        with (
            contextlib.closing(sqlite_library.connect(path)) as source,
            contextlib.closing(sqlite_library.connect(copy)) as target,
        ):
            source.backup(target)
            changed = target.execute(statement).rowcount
            target.commit()
        assert changed > 0, corruption
        problems = check_all(journal, copy)
        assert any(expected in problem for problem in problems), (corruption, problems)


def varied(journal: Journal) -> bool:
    """Say whether everything was done that is bent later, and something by each contract."""
    done = journal.done.copy()
    contracts = {each.partition(" ")[0] for each in done}
    return contracts == VERBS.keys() and done["wiwebb patch"] > 1 and done["vsay create"] > 1
