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
from dragoman.store.transaction import ALL_TENANTS
from tests.authorization import visibility
from tests.authorization.fixtures import TENANTS_BY_TARGET, SeededApp
from tests.authorization.placeholders import placeholders, substitute
from tests.authorization.table import AUDITED, UNCHANGED, Cell, Operation
from tests.support.rows import KEYS, Change, Dump
from tests.support.world import Person

APPROVAL = "users.approve: approved"
ERASED = ("email", "first_name", "last_name", "display_name", "phone", "bio", "url", "company")


DEACTIVATED_FIRST = {"no-other-owner": "otto", "no-other-superadmin": "second_superadmin"}
"""Who is switched off, so that whoever acts is the last one."""
GIVEN_FIRST: dict[str, tuple[str, dict[str, Any]]] = {
    "granted": ("grants", {"permission_id": 1}),
    "opened": ("access", {"resource": "mch_9", "level": "full"}),
}
"""What the target is given first."""


class Observation(msgspec.Struct):
    """What one request led to."""

    answer: httpx.Response
    sent: str
    request_id: str
    changes: list[Change]
    lines: list[dict[str, Any]]
    before: Dump
    after: Dump


async def check_cell(seeded_app: SeededApp, cell: Cell, turn: int) -> list[str]:
    """Play a cell, put everything back, and return what is wrong with it."""
    prepared = await _arrange(seeded_app, cell)
    seen = await _observe(
        seeded_app, cell, turn, seeded_app.initial_dump if prepared is None else prepared
    )
    problems = list(observation_problems(seeded_app, cell, seen))
    await seeded_app.restore(seen.after)
    return [f"{cell}: {problem}" for problem in problems]


async def _observe(seeded_app: SeededApp, cell: Cell, turn: int, before: Dump) -> Observation:
    operation = cell.operation
    names = _names(seeded_app, cell)
    request_id = f"cell-{turn}"
    headers = {"X-Request-Id": request_id}
    if credential := seeded_app.credential(cell.actor, operation.contract, turn):
        scheme = dialects.load(operation.contract).CONTRACT.scheme
        headers["Authorization"] = f"{scheme} {credential}"
    path = substitute(operation.path, names)
    content = None
    if operation.body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(substitute(operation.body, names))
    answer, changes, after = await seeded_app.request(
        before, operation.method, f"/{operation.contract}{path}", headers=headers, content=content
    )
    return Observation(
        answer,
        f"{path} {content}",
        request_id,
        changes,
        list(seeded_app.refusal_logs),
        before,
        after,
    )


def _names(seeded_app: SeededApp, cell: Cell) -> dict[str, Any]:
    on, target = cell.operation.on, cell.target
    names = placeholders(seeded_app, cell.actor, target if on == "user" else "")
    if on == "tenant":
        nobody = seeded_app.people["nobody"].id
        names["id"] = str(seeded_app.tenant_ids.get(TENANTS_BY_TARGET.get(target, ""), nobody))
    elif on == "invitation":
        names["id"] = seeded_app.invitations[target]
    return names


async def _arrange(seeded_app: SeededApp, cell: Cell) -> Dump | None:
    """Prepare what the operation asks for; returns the rows as they are then, None for as ever."""
    wish = cell.operation.arrange
    if wish in DEACTIVATED_FIRST:
        await seeded_app.rows.deactivate_user(seeded_app.people[DEACTIVATED_FIRST[wish]].id)
    elif wish in GIVEN_FIRST and cell.target not in {"deleted", "nobody"}:
        person = seeded_app.target(cell.target, cell.actor)
        table, values = GIVEN_FIRST[wish]
        row = {"user_id": person.id, **values, "granted_by": 0, "granted_at": 1}
        if tuple(row[name] for name in KEYS[table]) in seeded_app.initial_dump[table]:
            return None
        await seeded_app.rows.add(table, row)
    else:
        assert not wish or wish in GIVEN_FIRST, wish
        return None
    seeded_app.mark = None
    return await seeded_app.rows.dump()


def observation_problems(seeded_app: SeededApp, cell: Cell, seen: Observation) -> Iterator[str]:
    """Yield what is wrong with an observation."""
    answer, expect = seen.answer, cell.expect
    if answer.status_code != expect.status:
        yield f"{answer.status_code}, not {expect.status}: {answer.text[:160]}"
    done = answer.status_code < 400
    history = [c for c in seen.changes if c.table == "audit"]
    book = {"audit", "failures"} if cell.operation.open else {"audit"}
    others = [c for c in seen.changes if c.table not in book]
    quiet = not done or cell.operation.reads or expect.word in {UNCHANGED, AUDITED}
    failed = not done and cell.operation.open and cell.operation.audit  # a sign-in: it is noted
    if quiet and others:
        yield f"changed {'; '.join(map(str, others))}"
    if quiet and history and not failed and not (done and expect.word == AUDITED):
        yield f"a line in the history of {history[0].row['action']}"
    if done and not quiet:
        yield from _effect_problems(seeded_app, cell, others, seen)
    if failed or (done and not cell.operation.reads and expect.word != UNCHANGED):
        yield from _audit_problems(seeded_app, cell, history, seen.request_id)
    yield from _log_problems(seeded_app, cell, seen)
    yield from visibility.visibility_problems(seeded_app, cell, answer, seen.sent)


def _log_problems(seeded_app: SeededApp, cell: Cell, seen: Observation) -> Iterator[str]:
    """A refusal has its line: who it was, at which contract, what it asked for."""
    status = seen.answer.status_code
    if status < 400:
        if seen.lines:
            yield f"a success is logged as {seen.lines[0]['event']}"
        return
    person = None if cell.expect.status == 401 else seeded_app.actor(cell.actor)
    wanted = {
        "event": "refused",
        "request_id": seen.request_id,
        "contract": cell.operation.contract,
        "method": cell.operation.method,
        "actor": person.id if person and not cell.operation.open else 0,
    }
    logged = [{name: line.get(name) for name in wanted} for line in seen.lines]
    if logged != [wanted]:
        yield f"the log says {logged}, not {wanted}"


def _audit_problems(
    seeded_app: SeededApp, cell: Cell, found: list[Change], request_id: str
) -> Iterator[str]:
    """A change has its lines: who, through which contract, what, on whom, which fields."""
    operation = cell.operation
    actor = (
        0 if operation.open else (seeded_app.actor(cell.actor) or seeded_app.people["nobody"]).id
    )
    rows = [change.row for change in found if change.before is None]
    if any(_is_rewritten(change, operation) for change in found):
        yield "the history was rewritten"
    written = sorted(f"{row['action']}: {row['fields']}".rstrip(": ") for row in rows)
    if cell.target == "unapproved" and APPROVAL in written:  # by what it was given
        written.remove(APPROVAL)
    if written != sorted(operation.audit):
        yield f"the history says {written}, not {sorted(operation.audit)}"
    for row in rows:
        if (row["actor_id"], row["contract"]) != (actor, operation.contract):
            yield f"the history names {row['actor_id']} through {row['contract']}"
        if row["request_id"] != request_id:
            yield f"the history names another request, {row['request_id']}"
        if row["target_kind"] == "user" and operation.on == "user":
            target = seeded_app.target(cell.target, cell.actor)
            if row["target_id"] != target.id:
                yield f"the history names another target, {row['target_id']}"


def _is_rewritten(change: Change, operation: Operation) -> bool:
    """Return whether an entry is another than before; an erasure takes the address out of it."""
    if change.before is None or change.after is None:
        return change.before is not None
    if operation.effect.get("deleted") == "erased":
        return change.after != {**change.before, "address": ""}
    return True


OWNERS = {"users": "id", "invitations": "inviter_id"}
"""The column that says whose a row is; elsewhere it is ``user_id``."""
FREE = {"counts", "failures", "outbox"}
"""Bookkeeping of many; counts are compared with the users themselves."""


def _effect_problems(
    seeded_app: SeededApp, cell: Cell, changes: list[Change], seen: Observation
) -> Iterator[str]:
    operation = cell.operation
    if not changes:
        yield "nothing was changed"
    new = {c.row["id"] for c in changes if c.table == "users" and c.before is None}
    whose = set(new)
    if operation.on == "user":
        whose.add(seeded_app.target(cell.target, cell.actor).id)
    elif person := seeded_app.actor(cell.actor):
        whose.add(person.id)
    for change in changes:
        if change.table in FREE:
            continue
        if change.table == "erasures":
            erased = {seeded_app.initial_dump["users"][(each,)]["public_id"] for each in whose}
            if change.row["public_id"] not in erased:
                yield f"of somebody else: {change}"
        elif change.table in {"tenants", "invitations"}:
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
        target = seeded_app.target(cell.target, cell.actor)
        yield from _row(
            operation.effect, seeded_app.initial_dump["users"][(target.id,)], seen.after, target
        )
    for table, told in operation.made.items():
        made = [c.row for c in changes if c.table == f"{table}s" and c.before is None]
        if len(made) != 1:
            yield f"made {len(made)} rows of {table}"
        yield from (fault for row in made for fault in _new_row_problems(seeded_app, told, row))
    if (off := _counter_drift(seen.after)) != _counter_drift(seen.before):
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


def _new_row_problems(
    seeded_app: SeededApp, expected: dict[str, Any], row: dict[str, Any]
) -> Iterator[str]:
    wanted = {**expected}
    if "tenant" in wanted:
        place = wanted.pop("tenant")
        wanted["tenant_id"] = seeded_app.tenant_ids[place] if place else None
    if "role" in wanted:
        wanted["role"] = Role[wanted["role"].upper()]
    if found := {name: row[name] for name in wanted if row[name] != wanted[name]}:
        yield f"made with {found}"


def _counter_drift(dump: Dump) -> dict[tuple[Any, ...], int]:
    """Return by how much the counts differ from the users that there are."""
    told: dict[tuple[Any, ...], int] = {}
    for row in dump["counts"].values():
        key = (row["tenant_id"], row["role"], bool(row["active"]), bool(row["approved"]))
        told[key] = told.get(key, 0) + row["n"]
    for user in dump["users"].values():
        if user["deleted_at"] is None:
            for place in (user["tenant_id"] or 0, ALL_TENANTS):
                key = (place, user["role"], bool(user["active"]), bool(user["approved"]))
                told[key] = told.get(key, 0) - 1
    return {key: n for key, n in told.items() if n}
