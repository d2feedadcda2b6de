"""One cell: send its request, and say everything in which the answer, the rows, the history or the
log differ from what the table promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from dragoman import dialects
from dragoman.rules.model import Role
from dragoman.store.transaction import EVERYWHERE
from tests.authorization import shown
from tests.authorization.ground import PLACES, Ground
from tests.authorization.rows import KEYS, Change, Dump
from tests.authorization.table import NOTED, UNCHANGED, Cell
from tests.authorization.words import filled, names_of
from tests.support.world import Person

ERASED = ("email", "first_name", "last_name", "display_name", "phone", "bio", "url", "company")


ALONE = {"no-other-owner": "otto", "no-other-superadmin": "second_superadmin"}
"""Who is switched off, so that whoever acts is the last one."""
HOLDING: dict[str, tuple[str, dict[str, Any]]] = {
    "granted": ("grants", {"permission_id": 1}),
    "opened": ("access", {"resource": "mch_9", "level": "full"}),
}
"""What the target is given first."""


class Seen(msgspec.Struct):
    """What one request led to."""

    answer: httpx.Response
    sent: str
    request_id: str
    changes: list[Change]
    lines: list[dict[str, Any]]
    before: Dump
    after: Dump


async def play(ground: Ground, cell: Cell, turn: int) -> list[str]:
    """Play a cell, put everything back, and return what is wrong with it."""
    prepared = await _arrange(ground, cell)
    seen = await _ask(ground, cell, turn, ground.base if prepared is None else prepared)
    faults = list(judge(ground, cell, seen))
    await ground.put_back(seen.after)
    return [f"{cell}: {fault}" for fault in faults]


async def _ask(ground: Ground, cell: Cell, turn: int, before: Dump) -> Seen:
    operation = cell.operation
    names = _names(ground, cell)
    request_id = f"cell-{turn}"
    headers = {"X-Request-Id": request_id}
    if credential := ground.credential(cell.actor, operation.contract, turn):
        scheme = dialects.load(operation.contract).CONTRACT.scheme
        headers["Authorization"] = f"{scheme} {credential}"
    path = filled(operation.path, names)
    content = None
    if operation.body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(filled(operation.body, names))
    answer, changes, after = await ground.request(
        before, operation.method, f"/{operation.contract}{path}", headers=headers, content=content
    )
    return Seen(
        answer, f"{path} {content}", request_id, changes, list(ground.refused), before, after
    )


def _names(ground: Ground, cell: Cell) -> dict[str, Any]:
    on, target = cell.operation.on, cell.target
    names = names_of(ground, cell.actor, target if on == "user" else "")
    if on == "tenant":
        nobody = ground.people["nobody"].id
        names["id"] = str(ground.places.get(PLACES.get(target, ""), nobody))
    elif on == "invitation":
        names["id"] = ground.offers[target]
    return names


async def _arrange(ground: Ground, cell: Cell) -> Dump | None:
    """Prepare what the operation asks for; returns the rows as they are then, None for as ever."""
    wish = cell.operation.arrange
    if wish in ALONE:
        await ground.rows.switch_off(ground.people[ALONE[wish]].id)
    elif wish in HOLDING and cell.target not in {"deleted", "nobody"}:
        person = ground.target(cell.target, cell.actor)
        table, told = HOLDING[wish]
        row = {"user_id": person.id, **told, "granted_by": 0, "granted_at": 1}
        if tuple(row[name] for name in KEYS[table]) in ground.base[table]:
            return None
        await ground.rows.add(table, row)
    else:
        assert not wish or wish in HOLDING, wish
        return None
    ground.mark = None
    return await ground.rows.dump()


def judge(ground: Ground, cell: Cell, seen: Seen) -> Iterator[str]:
    """Yield what is wrong with an observation."""
    answer, expect = seen.answer, cell.expect
    if answer.status_code != expect.status:
        yield f"{answer.status_code}, not {expect.status}: {answer.text[:160]}"
    done = answer.status_code < 400
    history = [c for c in seen.changes if c.table == "audit"]
    book = {"audit", "failures"} if cell.operation.open else {"audit"}
    others = [c for c in seen.changes if c.table not in book]
    quiet = not done or cell.operation.reads or expect.word in {UNCHANGED, NOTED}
    failed = not done and cell.operation.open and cell.operation.audit  # a sign-in: it is noted
    if quiet and others:
        yield f"changed {'; '.join(map(str, others))}"
    if quiet and history and not failed and not (done and expect.word == NOTED):
        yield f"a line in the history of {history[0].row['action']}"
    if done and not quiet:
        yield from _effect(ground, cell, others, seen)
    if failed or (done and not cell.operation.reads and expect.word != UNCHANGED):
        yield from _history(ground, cell, history, seen.request_id)
    yield from _logged(ground, cell, seen)
    yield from shown.judge(ground, cell, answer, seen.sent)


def _logged(ground: Ground, cell: Cell, seen: Seen) -> Iterator[str]:
    """A refusal has its line: who it was, at which contract, what it asked for."""
    status = seen.answer.status_code
    if status < 400:
        if seen.lines:
            yield f"a success is logged as {seen.lines[0]['event']}"
        return
    person = None if cell.expect.status == 401 else ground.actor(cell.actor)
    wanted = {
        "event": "refused",
        "request_id": seen.request_id,
        "contract": cell.operation.contract,
        "method": cell.operation.method,
        "actor": person.id if person and not cell.operation.open else 0,
    }
    told = [{name: line.get(name) for name in wanted} for line in seen.lines]
    if told != [wanted]:
        yield f"the log says {told}, not {wanted}"


def _history(ground: Ground, cell: Cell, found: list[Change], request_id: str) -> Iterator[str]:
    """A change has its lines: who, through which contract, what, on whom, which fields."""
    operation = cell.operation
    actor = 0 if operation.open else (ground.actor(cell.actor) or ground.people["nobody"]).id
    rows = [change.row for change in found if change.before is None]
    if len(rows) != len(found):
        yield "the history was rewritten"
    told = sorted(f"{row['action']}: {row['fields']}".rstrip(": ") for row in rows)
    if told != sorted(operation.audit):
        yield f"the history says {told}, not {sorted(operation.audit)}"
    for row in rows:
        if (row["actor_id"], row["contract"]) != (actor, operation.contract):
            yield f"the history names {row['actor_id']} through {row['contract']}"
        if row["request_id"] != request_id:
            yield f"the history names another request, {row['request_id']}"
        if row["target_kind"] == "user" and operation.on == "user":
            target = ground.target(cell.target, cell.actor)
            if row["target_id"] != target.id:
                yield f"the history names another target, {row['target_id']}"


OWNERS = {"users": "id", "invitations": "inviter_id"}
"""The column that says whose a row is; elsewhere it is ``user_id``."""
FREE = {"counts", "failures", "outbox"}
"""Bookkeeping of many; counts are compared with the users themselves."""


def _effect(ground: Ground, cell: Cell, changes: list[Change], seen: Seen) -> Iterator[str]:
    operation = cell.operation
    if not changes:
        yield "nothing was changed"
    new = {c.row["id"] for c in changes if c.table == "users" and c.before is None}
    whose = set(new)
    if operation.on == "user":
        whose.add(ground.target(cell.target, cell.actor).id)
    elif person := ground.actor(cell.actor):
        whose.add(person.id)
    for change in changes:
        if change.table in FREE:
            continue
        if change.table in {"tenants", "invitations"}:
            told = operation.on == change.table[:-1] or change.table[:-1] in operation.made
            moved = {n for n in change.row if (change.before or {}).get(n) != change.row[n]}
            gone = change.table == "invitations" and change.row["revoked_at"]
            if not (told or gone or moved <= {"ever_owned"}):
                yield f"besides: {change}"
        elif change.row[OWNERS.get(change.table, "user_id")] not in whose:
            yield f"of somebody else: {change}"
    for table in operation.rows:
        if not any(change.table == table for change in changes):
            yield f"nothing was changed in {table}"
    if operation.effect:
        target = ground.target(cell.target, cell.actor)
        yield from _row(operation.effect, ground.base["users"][(target.id,)], seen.after, target)
    for table, told in operation.made.items():
        made = [c.row for c in changes if c.table == f"{table}s" and c.before is None]
        if len(made) != 1:
            yield f"made {len(made)} rows of {table}"
        yield from (fault for row in made for fault in _made(ground, told, row))
    if (off := _uncounted(seen.after)) != _uncounted(seen.before):
        yield f"the counts are off by {off}"


def _row(effect: dict[str, Any], old: dict[str, Any], after: Dump, target: Person) -> Iterator[str]:
    row = after["users"][(target.id,)]
    left = [t for t in after["tokens"].values() if t["user_id"] == target.id]
    moved = row["auth_epoch"] > old["auth_epoch"]
    for name, value in effect.items():
        if name == "deleted":
            blank = not any(row[each] for each in ERASED)
            if row["deleted_at"] is None or left or row["password_hash"]:
                yield "it was not deleted"
            if blank is not (value == "erased"):
                yield f"personal fields {'are blank' if blank else 'are left'}"
        elif name == "password":
            if row["password_hash"] == old["password_hash"] or not moved:
                yield "the password was not changed"
        elif name == "role":
            if row["role"] != Role[value.upper()] or not moved:
                yield f"the role is {Role(row['role']).name}"
        elif row[name] != value:
            yield f"{name} is {row[name]!r}, not {value!r}"
        elif name == "active" and not value and not moved:
            yield "its credentials live on"


def _made(ground: Ground, told: dict[str, Any], row: dict[str, Any]) -> Iterator[str]:
    wanted = {**told}
    if "tenant" in wanted:
        place = wanted.pop("tenant")
        wanted["tenant_id"] = ground.places[place] if place else None
    if "role" in wanted:
        wanted["role"] = Role[wanted["role"].upper()]
    if found := {name: row[name] for name in wanted if row[name] != wanted[name]}:
        yield f"made with {found}"


def _uncounted(dump: Dump) -> dict[tuple[Any, ...], int]:
    """Return by how much the counts differ from the users that there are."""
    told: dict[tuple[Any, ...], int] = {}
    for row in dump["counts"].values():
        key = (row["tenant_id"], row["role"], bool(row["active"]))
        told[key] = told.get(key, 0) + row["n"]
    for user in dump["users"].values():
        if user["deleted_at"] is None:
            for place in (user["tenant_id"] or 0, EVERYWHERE):
                key = (place, user["role"], bool(user["active"]))
                told[key] = told.get(key, 0) - 1
    return {key: n for key, n in told.items() if n}
