"""No privileged name gets through: not flat, nested or dotted, in the query, in upper case, in a form.

Each operation is sent as it should be first; with any of the names besides it must change the very
same rows in the very same way, or nothing at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from dragoman import dialects
from dragoman.rules import crypto
from dragoman.rules.passwords import verify_password
from dragoman.store.invitations import OUTBOX_KIND
from tests.authorization.fixtures import SeededApp
from tests.authorization.mass_assignment import FORM, JSON, PRIVILEGED, WRITES, Write
from tests.authorization.placeholders import placeholders, substitute
from tests.support.databases import SECRET_KEY
from tests.support.rows import KEYS, Change

pytestmark = pytest.mark.anyio

LONG = os.environ.get("FUZZ_FIELDS") == "all"
"""Every name alone by every writer, instead of by the first one where that costs no hash."""

NEW = "new"
VOLATILE_COLUMNS = {
    "at", "created_at", "updated_at", "last_login_at", "granted_at", "last_at", "due_at",
    "last_used_at", "idle_until", "expires_at", "accepted_at", "request_id", "digest", "family",
    "payload",
}  # fmt: skip
"""Columns that are never the same twice; lifetimes and ages are compared instead."""

Effect = dict[tuple[Any, ...], dict[str, Any]]


class Injection(msgspec.Struct, frozen=True):
    """One way in which names travel; ``allowed`` are columns and tables that may follow."""

    what: str
    body: str
    query: str = ""
    media: str = JSON
    allowed: frozenset[str] = frozenset()


def injections(
    write: Write, writer: str, base: dict[str, Any], bad: dict[str, Any], *, first: bool
) -> Iterator[Injection]:
    """Yield every way in which a privileged name travels.

    All of them travel together, by every writer; one by one where it is ``first`` or asked for.
    """
    names = {name: value for name, value in bad.items() if name not in base}
    known = {n: columns for n, (columns, who) in write.writable.items() if writer in who}
    unknown = {name: value for name, value in names.items() if name not in write.writable}
    over = ("user", "profile", "data", "$set", "__proto__")
    nested: dict[str, Any] = dict.fromkeys(over, names)
    nested |= {f"{each}.{name}": names[name] for name in names for each in over[:2]}
    query = "?" + urlencode({name: _text(value) for name, value in names.items()})
    yield Injection(
        "all, also nested and in the query", _json({**nested, **unknown, **base}), query
    )
    yield Injection("in upper case", _json({**{n.upper(): v for n, v in unknown.items()}, **base}))
    if write.accepts_forms:
        fields = [(k, _text(v)) for k, v in {**unknown, **base}.items()]
        fields += [(f"{k}[]", _text(v)) for k, v in unknown.items()]
        yield Injection("in a form", urlencode(fields), media=FORM)
    for name in names if LONG or (first and not write.hashes) else write.writable:
        yield Injection(
            name, _json({name: names[name], **base}), allowed=known.get(name, frozenset())
        )


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("write", WRITES, ids=str)
async def test_no_privileged_name_gets_through(seeded_app: SeededApp, write: Write) -> None:
    problems: list[str] = []
    for writer, target in write.writers:
        names = {**placeholders(seeded_app, writer, target), "secret": secret_of(seeded_app)}
        base, bad = substitute(dict(write.body), names), substitute(dict(PRIVILEGED), names)
        request = substitute(write.request, names)
        plain = Injection("as it should be", _json(base))
        status, changes = await _send(seeded_app, write, writer, request, plain)
        wanted = effect(seeded_app, changes)
        who = f"{writer} on {target or '-'}"
        if status >= 300:
            problems.append(f"{who}: {status} as it should be")
        problems += [
            f"{who}: {problem}" for problem in _password_problems(seeded_app, write, changes)
        ]
        first = (writer, target) == write.writers[0]
        taken = 0
        for sending in injections(write, writer, base, bad, first=first):
            status, changes = await _send(seeded_app, write, writer, request, sending)
            taken += status < 300
            found = effect_problems(status, effect(seeded_app, changes), wanted, sending.allowed)
            problems += [f"{who}, {sending.what}: {status} {problem}" for problem in found]
        if not taken:
            problems.append(f"{who}: every name was refused, so none was passed over")
    assert not problems, "\n".join(["", *problems])


async def _send(
    seeded_app: SeededApp, write: Write, writer: str, request: str, sending: Injection
) -> tuple[int, list[Change]]:
    method, path = request.split(" ")
    headers = {"Content-Type": sending.media}
    if credential := seeded_app.credential(writer, write.contract, 0):
        scheme = dialects.load(write.contract).CONTRACT.scheme
        headers["Authorization"] = f"{scheme} {credential}"
    url = f"/{write.contract}{path}{sending.query}"
    answer, changes, after = await seeded_app.request(
        seeded_app.initial_dump, method, url, headers=headers, content=sending.body
    )
    await seeded_app.restore(after)
    return answer.status_code, changes


def secret_of(seeded_app: SeededApp) -> str:
    """Return what the mail of an invitation would say."""
    invitations = seeded_app.initial_dump["invitations"].values()
    row = next(each for each in invitations if each["public_id"] == seeded_app.invitations["offer"])
    return row["public_id"] + crypto.derive(SECRET_KEY, OUTBOX_KIND, row["id"], row["generation"])


def effect(seeded_app: SeededApp, changes: list[Change]) -> Effect:
    """Return what changes come to: the columns that moved, and all of a row that is new."""
    base = seeded_app.initial_dump
    last = {name: max((key[0] for key in rows), default=0) for name, rows in base.items()
            if KEYS[name] == ["id"]}  # fmt: skip
    found: Effect = {}
    for change in changes:
        if change.table in {"counts", "failures"}:
            continue
        row = {**change.row}
        of = {"user_id": "users", "accepted_by": "users", "tenant_id": "tenants"}
        of["target_id"] = f"{row.get('target_kind')}s"
        for name, table in of.items():
            if row.get(name) and row[name] > last[table]:
                row[name] = NEW
        moved_values: dict[str, Any]
        key: tuple[Any, ...] = tuple(row[name] for name in KEYS[change.table])
        if change.before is None:
            row |= _comparable_values(seeded_app, change)
            if "id" in row:
                row["id"] = NEW if row["id"] > last[change.table] else row["id"]
                key = (row["id"], row.get("action"), row.get("kind"))
            moved_values = row
        elif change.after is None:
            moved_values = {"gone": True}
        else:
            moved_values = {
                name: row[name] for name in row if change.before[name] != change.row[name]
            }
        if "password_hash" in moved_values:
            moved_values["password_hash"] = moved_values["password_hash"][:9]
        found[change.table, *key] = {
            n: v for n, v in moved_values.items() if n not in VOLATILE_COLUMNS
        }
    return found


def _comparable_values(seeded_app: SeededApp, change: Change) -> dict[str, Any]:
    """Return what can be compared of a new row's ids and times."""
    row, values = change.row, dict[str, Any]()
    if "public_id" in row:
        taken = {each["public_id"] for each in seeded_app.initial_dump[change.table].values()}
        values["public_id"] = row["public_id"] if row["public_id"] in taken else NEW
    if "created_at" in row:
        latest = max(each["created_at"] for each in seeded_app.initial_dump["users"].values())
        values["age"] = NEW if row["created_at"] > latest else row["created_at"]
        values["lasts"] = row.get("expires_at", row["created_at"]) - row["created_at"]
    return values


def effect_problems(
    status: int, found: Effect, wanted: Effect, allowed: frozenset[str]
) -> Iterator[str]:
    """Yield in what an effect differs from the one of the plain request."""
    if status >= 300:
        if status not in {400, 403}:
            yield "is no answer to a name"
        wanted = {}
    for key in dict.fromkeys([*found, *wanted]):
        if key[0] in allowed or (allowed and key[0] == "audit" and status < 300):
            continue
        old, new = wanted.get(key, {}), found.get(key, {})
        moved = {n for n in {*old, *new} if old.get(n) != new.get(n)} - allowed
        if moved or (not allowed and (key in wanted) is not (key in found)):
            changed = {name: new.get(name) for name in moved}
            yield f"{'/'.join(map(str, key))}: {changed}"


def _password_problems(seeded_app: SeededApp, write: Write, changes: list[Change]) -> Iterator[str]:
    """Yield every new user whom the password that was sent does not open."""
    given = [v for name, v in write.body.items() if name in {"password", "password1"}]
    for change in changes:
        if change.table == "users" and change.before is None:
            if not given or not verify_password(given[0], change.row["password_hash"]):
                yield "another password opens it"
            if change.row["role"] <= 2 or change.row["tenant_id"] != seeded_app.tenant_ids["acme"]:
                yield "the plain request makes somebody it should not"


def test_there_are_names_enough() -> None:
    assert len(PRIVILEGED) >= 24


PLAIN: Effect = {("users", 7): {"location": "Here"}}


@pytest.mark.parametrize(
    ("status", "found", "said"),
    [
        (200, {("users", 7): {"location": "Here", "role": 0}}, "users/7: {'role': 0}"),
        (200, {**PLAIN, ("users", 1): {"active": False}}, "users/1: {'active': False}"),
        (200, {**PLAIN, ("grants", 7, 3): {"user_id": 7}}, "grants/7/3: {'user_id': 7}"),
        (200, {**PLAIN, ("tokens", 4): {"gone": True}}, "tokens/4: {'gone': True}"),
        (200, {}, "users/7: {'location': None}"),
        (400, PLAIN, "users/7: {'location': 'Here'}"),
        (500, {}, "is no answer to a name"),
    ],
)
def test_what_gets_through_is_seen(status: int, found: Effect, said: str) -> None:
    assert list(effect_problems(status, found, PLAIN, frozenset())) == [said]
    assert not list(effect_problems(200, PLAIN, PLAIN, frozenset()))
