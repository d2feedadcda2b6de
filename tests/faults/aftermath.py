"""What must be true of a database after storms: everything that was promised, nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import msgspec
from pysqlite3 import dbapi2 as sqlite3

from dragoman import app
from dragoman.actions.directory import machine
from dragoman.rules.fields import canonical
from dragoman.rules.passwords import verify_password
from dragoman.store import counts
from tests.faults.storm import API, ROLES, Account, Journal
from tests.support.databases import query, settings_for


class Audited(msgspec.Struct, frozen=True):
    """A row of the history of a storm."""

    request_id: str
    action: str
    target_id: int


def settle(journal: Journal, database: str) -> list[str]:
    """Find out what became of the requests without an answer; return what was promised in vain.

    The history must hold every acknowledged change exactly once, none that was refused, and
    besides them only such whose answer did not arrive.
    """
    rows = asyncio.run(
        query(
            database,
            "SELECT request_id, action, target_id FROM audit"
            " WHERE request_id LIKE 'storm-%' ORDER BY id",
        )
    )
    history = [Audited(*row) for row in rows]
    by_id = {row.request_id: row for row in history}
    faults = [f"twice in the history: {row}" for row in history if by_id[row.request_id] is not row]
    for request_id, promise in journal.promised.items():
        row = by_id.get(request_id)
        if row is None or (row.action, row.target_id) != promise:
            faults.append(
                f"acknowledged, and not in the history: {request_id} {promise}, but {row}"
            )
    faults += [f"refused, and done: {by_id[i]}" for i in journal.refused if i in by_id]
    settled: list[Account] = []
    for account in journal.accounts:
        attempt, account.open = account.open, None
        if attempt is None:
            settled.append(account)
            continue
        row = by_id.get(attempt.request_id)
        if row is None:
            journal.refused.add(attempt.request_id)
        else:
            account.state, account.id = attempt.after, row.target_id
            journal.promised[attempt.request_id] = (attempt.action, row.target_id)
        if account.state is not None:
            settled.append(account)
    journal.accounts = settled
    strangers = by_id.keys() - journal.promised.keys() - journal.refused
    return faults + [f"nobody asked for {by_id[request_id]}" for request_id in strangers]


_COLUMNS = (
    "id, username, username_key, email, email_key, location, role, active, auth_epoch, deleted_at,"
    " password_hash, search"
)


def damage(journal: Journal, database: str, *, hashes: int = 8) -> list[str]:
    """Return everything in the database that the journal does not explain (after ``settle``)."""

    async def look() -> list[str]:
        rows = await query(database, f"SELECT {_COLUMNS} FROM users")
        names = dict(await query(database, "SELECT key, user_id FROM names"))
        alive = "SELECT user_id FROM tokens WHERE user_id NOT IN (SELECT id FROM users WHERE deleted_at IS NULL)"
        orphans = await query(database, alive)
        async with app.opened(settings_for(database)) as directory:
            gaps = await counts.differences(directory.read(machine("tests")))
        by_id = {row[0]: dict(zip(_COLUMNS.split(", "), row, strict=True)) for row in rows}
        faults = [f"a counter is off: {key} by {by}" for key, by in gaps.items()]
        faults += [f"a credential of nobody: {row}" for row in orphans]
        faults += _names(by_id, names)
        for account in journal.accounts:
            faults += _differences(account, by_id.get(account.id))
        known = {account.id for account in journal.accounts}
        first = min(by_id)
        return faults + [f"nobody made {by_id[i]}" for i in by_id.keys() - known - {first}]

    faults = asyncio.run(look()) + _passwords(journal, database, hashes)
    return faults + integrity(database)


def _names(users: dict[int, dict[str, Any]], names: dict[str, int]) -> list[str]:
    held = {
        key: user_id
        for user_id, row in users.items()
        if row["deleted_at"] is None
        for key in (row["username_key"], row["email_key"])
        if key
    }
    return [f"name {key!r}: of {held.get(key)}, held by {names.get(key)}"
            for key in held.keys() | names.keys() if held.get(key) != names.get(key)]  # fmt: skip


def _differences(account: Account, row: dict[str, Any] | None) -> list[str]:
    state = account.state
    assert state is not None
    if row is None:
        return [f"user {account.id} is not there: {state}"]
    key = canonical(state.username) if state.alive else ""
    expected = {
        "username": state.username if state.alive else "",
        "username_key": key,
        "email": state.email,
        "email_key": canonical(state.email),
        "location": state.location,
        "role": int(ROLES[state.role]),
        "active": state.active,
        "auth_epoch": state.epoch,
        "search": "\n".join((key, canonical(state.email), "", "")) if state.alive else "",
    }
    faults = [
        f"user {account.id}: {name} should be {value!r}, is {row[name]!r}"
        for name, value in expected.items()
        if row[name] != value
    ]
    if (row["deleted_at"] is None) is not state.alive:
        faults.append(f"user {account.id}: alive should be {state.alive}")
    if bool(row["password_hash"]) is not state.alive:
        faults.append(f"user {account.id}: a hash where none should be, or none")
    return faults


def _passwords(journal: Journal, database: str, most: int) -> list[str]:
    """Try the passwords of some users; those that were set last come first."""
    living = [(a.id, a.state.password) for a in journal.accounts if a.state and a.state.alive]
    living.sort(key=lambda pair: int(pair[1].rpartition("-")[2]), reverse=True)
    hashes = dict(asyncio.run(query(database, "SELECT id, password_hash FROM users")))
    return [
        f"user {user_id}: its password does not open it"
        for user_id, password in living[:most]
        if not verify_password(password, hashes[user_id])
    ]


def integrity(database: str) -> list[str]:
    """Ask SQLite itself whether its file, and the search index in it, are whole."""
    if not database.startswith("sqlite:///"):
        return []
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        verdicts = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        verdicts += [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
        found = connection.execute(
            "SELECT count(*) FROM users JOIN users_search ON users_search.rowid = users.id"
            " WHERE users_search MATCH '\"storm.test\"' AND users.deleted_at IS NULL"
        ).fetchone()[0]
        there = connection.execute(
            "SELECT count(*) FROM users WHERE deleted_at IS NULL AND search LIKE '%storm.test%'"
        ).fetchone()[0]
    if found != there:
        verdicts.append(f"the search finds {found} of {there}")
    return [verdict for verdict in verdicts if verdict != "ok"]


def heard(journal: Journal, url: str, token: str) -> list[str]:
    """Ask the server itself about every user and every key that was handed out."""
    faults: list[str] = []
    with httpx.Client(base_url=f"{url}{API}", timeout=30) as client:
        for account in journal.accounts:
            state = account.state
            assert state is not None
            answer = client.get(
                f"/users/{account.id}/", headers={"Authorization": f"Token {token}"}
            )
            shown = answer.json()
            expected = {"username": state.username, "email": state.email, "role": state.role}
            expected |= {"location": state.location, "is_active": state.active}
            if not state.alive:
                expected = {"detail": "Not found."}
            if expected.items() - shown.items():
                faults.append(f"user {account.id} should be {expected}, is {shown}")
            for key, epoch in account.tokens:
                headers = {"Authorization": f"Token {key}"}
                status = client.get("/auth/user/", headers=headers).status_code
                lives = state.alive and state.active and epoch == state.epoch
                if status != (200 if lives else 401):
                    faults.append(f"a key of user {account.id} ({lives=}) is answered {status}")
    return faults
