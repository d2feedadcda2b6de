"""What must be true of a database after storms: everything that was promised, nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import httpx
import msgspec

from dragoman import app
from dragoman.actions.system import system_actor
from dragoman.rules.fields import canonical, search_key
from dragoman.rules.passwords import verify_password
from dragoman.store.drivers import sqlite_library
from dragoman.store.user_lists import counters
from tests.faults.contract_requests import CREDENTIAL_PROBES
from tests.faults.journal import ROLES, Account, Journal
from tests.faults.write_load import API
from tests.faults.writer import ACCEPT, INVITE
from tests.support.databases import query, settings_for
from tests.support.user_requests import headers_of, url_of


class AuditRow(msgspec.Struct, frozen=True):
    """A row of the history of a storm."""

    request_id: str
    action: str
    target_kind: str
    target_id: int


MAX_TOKEN_AGE_S = 3000
"""A key that was given so long ago may have ended by itself."""
OF_INVITATIONS = frozenset({INVITE})
APPROVAL, ASSIGNMENT = "users.approve", "users.assign_role"
MAILED_LINKS = {"reset": "new passwords", "verify": "proofs of addresses"}
"""What the links of a storm are for, by their purpose, which is the kind of their mails too."""
TWO_ROW_ACTIONS = frozenset({ACCEPT})
"""What writes a row for the user and one for the invitation."""


def resolve_in_doubt(journal: Journal, database: str) -> list[str]:
    """Find out what became of the requests without an answer; return what was promised in vain.

    The history must hold every acknowledged change exactly once, none that was refused, and
    besides them only such whose answer did not arrive.
    """
    rows = asyncio.run(
        query(
            database,
            "SELECT request_id, action, target_kind, target_id FROM audit"
            " WHERE request_id LIKE 'storm-%' ORDER BY id",
        )
    )
    by_id, problems = _rows_by_request([AuditRow(*row) for row in rows])
    for request_id, (action, target_id) in journal.acknowledged.items():
        row = by_id.get(request_id)
        if row is None or row.action != action or target_id not in {0, row.target_id}:
            promise = (action, target_id)
            problems.append(
                f"acknowledged, and not in the history: {request_id} {promise}, but {row}"
            )
    problems += [f"refused, and done: {by_id[i]}" for i in journal.refused if i in by_id]
    for request_id in journal.in_doubt:
        if (row := by_id.get(request_id)) is not None:
            journal.acknowledged[request_id] = (row.action, row.target_id)
        else:
            journal.refused.add(request_id)
    journal.in_doubt.clear()
    journal.accounts = [a for a in journal.accounts if _resolve_account(a, journal, by_id)]
    _learn_public_ids(journal, database)
    strangers = by_id.keys() - journal.acknowledged.keys() - journal.refused
    return problems + [f"nobody asked for {by_id[request_id]}" for request_id in strangers]


def _rows_by_request(history: list[AuditRow]) -> tuple[dict[str, AuditRow], list[str]]:
    """Return the row of each request, and those that are not whole or too many."""
    problems: list[str] = []
    found: dict[str, list[AuditRow]] = {}
    approved: list[int] = []
    for row in history:
        found.setdefault(row.request_id, []).append(row)
    for rows in found.values():
        if len(rows) > 1 and (rows[0].action, rows[1].action) == (APPROVAL, ASSIGNMENT):
            approved.append(rows.pop(0).target_id)  # a role approves who signed up
        rows.sort(key=lambda row: row.target_kind == "invitation")
        action = rows[0].action
        kinds = ["user", "invitation"] if action in TWO_ROW_ACTIONS else ["user"]
        if action in OF_INVITATIONS:
            kinds = ["invitation"]
        if [(row.action, row.target_kind) for row in rows] != [(action, kind) for kind in kinds]:
            problems.append(f"half in the history, or twice: {rows}")
    problems += [f"user {i} was approved {n} times" for i, n in Counter(approved).items() if n > 1]
    return {request_id: rows[0] for request_id, rows in found.items()}, problems


def _resolve_account(account: Account, journal: Journal, by_id: dict[str, AuditRow]) -> bool:
    """Decide what became of an account's open request; say whether there is such a user."""
    attempt, account.pending = account.pending, None
    if attempt is not None:
        row = by_id.get(attempt.request_id)
        if row is None:
            journal.refused.add(attempt.request_id)
        else:
            account.state, account.id = attempt.after, row.target_id
            account.signed_up &= attempt.action != ASSIGNMENT
            journal.acknowledged[attempt.request_id] = (attempt.action, row.target_id)
    elif not account.id and (row := by_id.get(account.made_by)) is not None:
        account.id = row.target_id
    return account.state is not None


def _learn_public_ids(journal: Journal, database: str) -> None:
    """Learn the public ids that no answer has told."""
    known = dict(asyncio.run(query(database, "SELECT id, public_id FROM users")))
    for account in journal.accounts:
        account.public_id = account.public_id or known.get(account.id, "")


_COLUMNS = (
    "id, username, username_key, email, email_key, location, first_name, last_name, role, active,"
    " approved, auth_epoch, deleted_at, password_hash, search"
)


def database_problems(journal: Journal, database: str, *, hashes: int = 8) -> list[str]:
    """Return everything in the database that the journal does not explain (after ``settle``)."""

    async def look() -> list[str]:
        rows = await query(database, f"SELECT {_COLUMNS} FROM users")
        names = dict(await query(database, "SELECT key, user_id FROM names"))
        mails = await _mail_problems(database)
        alive = "SELECT user_id FROM tokens WHERE user_id NOT IN (SELECT id FROM users WHERE deleted_at IS NULL)"
        orphans = await query(database, alive)
        async with app.open_directory(settings_for(database)) as directory:
            gaps = await counters.differences(directory.read(system_actor("tests")))
        by_id = {row[0]: dict(zip(_COLUMNS.split(", "), row, strict=True)) for row in rows}
        problems = [f"a counter is off: {key} by {by}" for key, by in gaps.items()]
        problems += [f"a credential of nobody: {row}" for row in orphans]
        problems += _name_problems(by_id, names) + mails
        for account in journal.accounts:
            problems += _differences(account, by_id.get(account.id))
        known = {account.id for account in journal.accounts}
        first = min(by_id)
        return problems + [f"nobody made {by_id[i]}" for i in by_id.keys() - known - {first}]

    problems = asyncio.run(look()) + _password_problems(journal, database, hashes)
    return problems + sqlite_problems(database)


async def _mail_problems(database: str) -> list[str]:
    """Return mails without their cause, and causes without their mail."""
    problems: list[str] = []
    waiting = await query(database, "SELECT kind, user_id, recipient, payload FROM outbox")
    mails = [(kind, who, to, msgspec.json.decode(payload)) for kind, who, to, payload in waiting]
    links = await query(database, "SELECT purpose, user_id, generation FROM one_time")
    for purpose, what in MAILED_LINKS.items():
        mailed = Counter(
            (who, each["generation"]) for kind, who, _, each in mails if kind == purpose
        )
        if mailed != Counter(
            (who, generation) for kind, who, generation in links if kind == purpose
        ):
            problems.append(f"links for {what}: {links}, mails with them: {mailed}")
    problems += [f"a link that nobody asked for: {row}" for row in links
                 if row[0] not in MAILED_LINKS]  # fmt: skip
    invitations = await query(
        database, "SELECT public_id, generation, email FROM invitations WHERE email <> ''"
    )
    sent = Counter(
        (each["invitation"], each["generation"], to)
        for kind, _, to, each in mails
        if kind == "invitation"
    )
    if sent != Counter(tuple(row) for row in invitations):
        problems.append(f"invitations: {invitations}, mails with them: {sent}")
    done = "SELECT target_id FROM audit WHERE target_kind = 'invitation' AND action = "
    for action, which in ((INVITE, "created_at > 0"), (ACCEPT, "accepted_at > 0")):
        rows = {row[0] for row in await query(database, f"{done}'{action}'")}
        there = {
            row[0] for row in await query(database, f"SELECT id FROM invitations WHERE {which}")
        }
        if rows != there:
            problems.append(f"{action}: in the history {rows}, among the invitations {there}")
    return problems


def _name_problems(users: dict[int, dict[str, Any]], names: dict[str, int]) -> list[str]:
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
    known = [state.username, state.email, state.first_name, state.last_name]
    keys = [canonical(each) for each in known]
    expected = {
        "username": state.username,
        "username_key": keys[0],
        "email": state.email,
        "email_key": keys[1],
        "location": state.location,
        "first_name": state.first_name,
        "last_name": state.last_name,
        "role": int(ROLES[state.role]),
        "active": state.active,
        "approved": not account.signed_up,
        "auth_epoch": state.epoch,
        "search": "\n".join(search_key(each) for each in known) if state.alive else "",
    }
    problems = [
        f"user {account.id}: {name} should be {value!r}, is {row[name]!r}"
        for name, value in expected.items()
        if row[name] != value
    ]
    if (row["deleted_at"] is None) is not state.alive:
        problems.append(f"user {account.id}: alive should be {state.alive}")
    if bool(row["password_hash"]) is not state.alive:
        problems.append(f"user {account.id}: a hash where none should be, or none")
    return problems


def _password_problems(journal: Journal, database: str, max_checked: int) -> list[str]:
    """Try the passwords of some users; those that were set last come first."""
    living = [(a.id, a.state.password) for a in journal.accounts if a.state and a.state.alive]
    living.sort(key=lambda pair: int(pair[1].rpartition("-")[2]), reverse=True)
    hashes = dict(asyncio.run(query(database, "SELECT id, password_hash FROM users")))
    return [
        f"user {user_id}: its password does not open it"
        for user_id, password in living[:max_checked]
        if not verify_password(password, hashes[user_id])
    ]


def sqlite_problems(database: str) -> list[str]:
    """Ask SQLite itself whether its file, and the search index in it, are whole."""
    if not database.startswith("sqlite:///"):
        return []
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite_library.connect(path)) as connection:
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


def server_problems(journal: Journal, url: str, token: str) -> list[str]:
    """Ask the server itself about every user and every key that was handed out."""
    problems: list[str] = []
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
            expected |= {"first_name": state.first_name, "last_name": state.last_name}
            if not state.alive:
                expected = {"detail": "Not found."}
            if expected.items() - shown.items():
                problems.append(f"user {account.id} should be {expected}, is {shown}")
            for contract, key, epoch, given_at in account.tokens:
                if time.monotonic() - given_at > MAX_TOKEN_AGE_S:
                    continue
                method, path = CREDENTIAL_PROBES[contract]
                probe = url + url_of(contract, path.format(id=account.id))
                status = client.request(
                    method, probe, headers=headers_of(contract, key)
                ).status_code
                lives = state.alive and state.active and epoch == state.epoch
                if (status == 401) is lives or status >= 500:
                    problems.append(
                        f"a key of user {account.id} at {contract} ({lives=}) is answered {status}"
                    )
    return problems
