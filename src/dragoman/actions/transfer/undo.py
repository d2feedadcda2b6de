"""Lists imports, and undoes one: removes whom it created, and restores what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dragoman.actions.directory import Directory
from dragoman.actions.steps import change_user
from dragoman.actions.transfer.updating import SEAL_PURPOSE
from dragoman.rules import crypto, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, LastOwner, NotFound, Taken
from dragoman.rules.model import Role, User
from dragoman.rules.vocabulary import Action, AuditAction, Reach
from dragoman.store import audit, groups, import_undo, imports, tenants, users
from dragoman.store.import_undo import PLAIN_COLUMNS, ImportedPerson
from dragoman.store.imports import ImportRecord
from dragoman.store.transaction import Tx

STEP = 200
"""Maximum number of users per transaction."""
MAX_NAMED = 1_000
"""Maximum number of people who are named as left; the others are counted."""


class LeftPerson(msgspec.Struct, frozen=True):
    """Somebody whom an undo has left as it is.

    ``reason`` is ``signed_in`` or ``changed`` (since the import), ``last`` (the last active owner
    or superadmin), ``forbidden``, ``expired`` (the former values are kept no longer) or ``taken``
    (a former name has another holder now).
    """

    user_id: int
    username: str
    reason: str


class UndoResult(msgspec.Struct):
    """What an undo did: how many users it removed, restored and left, and some of the latter."""

    removed: int = 0
    restored: int = 0
    left: int = 0
    left_people: list[LeftPerson] = []

    def leave(self, person: ImportedPerson, reason: str) -> None:
        """Count somebody who is left."""
        self.left += 1
        if len(self.left_people) < MAX_NAMED:
            self.left_people.append(LeftPerson(person.user_id, person.username, reason))


async def list_imports(
    directory: Directory, actor: Actor, *, limit: int = 100
) -> list[ImportRecord]:
    """Return the newest imports that the actor may see, newest first; raises Forbidden."""
    reach = policy.require_reach(actor, Action.IMPORT_USERS)
    found = await imports.list_latest(directory.read(actor), limit)
    return [each for each in found if _is_within_reach(actor, reach, each)]


async def get_import(directory: Directory, actor: Actor, public_id: str) -> ImportRecord:
    """Return the import with this public id (``imp_…``); raises Forbidden or NotFound."""
    reach = policy.require_reach(actor, Action.IMPORT_USERS)
    found = await imports.find(directory.read(actor), public_id)
    if found is None or not _is_within_reach(actor, reach, found):
        raise NotFound
    return found


def _is_within_reach(actor: Actor, reach: Reach, record: ImportRecord) -> bool:
    return reach is Reach.ANY or record.tenant_id == actor.tenant_id is not None


async def undo(
    directory: Directory, actor: Actor, public_id: str, *, force: bool = False
) -> UndoResult:
    """Undo an import, in small transactions; one that was interrupted may be undone again.

    Users that it created are removed for good, and their ids and names are free; values that it
    changed are as before. The history stays. The same file may be imported again.

    Args:
        directory: the application's shared state.
        actor: the caller.
        public_id: the public id of the import (``imp_…``).
        force: also remove or restore people who have signed in or were changed since.

    Raises:
        Forbidden: the actor may not import users.
        NotFound: there is no such import, or the actor may not see it.
        Unavailable: the database cannot serve.
    """
    record = await get_import(directory, actor, public_id)
    actor = msgspec.structs.replace(actor, request_id=public_id)
    async with directory.begin(actor) as tx:
        policy.require_reach(tx.actor, Action.IMPORT_USERS)
        await imports.set_state(tx, record.id, imports.UNDOING)
    result = UndoResult()
    after = 0
    while True:
        async with directory.begin(actor) as tx:
            people = await import_undo.list_page(tx, record.id, after=after, limit=STEP)
            step = await _undo_created(tx, record, people, force=force)
        _add(result, step)
        for person in people:
            if not person.created:
                await _undo_update(directory, actor, record, person, result, force=force)
        if len(people) < STEP:
            break
        after = people[-1].user_id
    async with directory.begin(actor) as tx:
        await _undo_tenants(tx, record)
        await imports.set_state(tx, record.id, imports.UNDONE)
        audit.write(tx, AuditAction.UNDO_IMPORT, target_kind="import", target_id=record.id)
    return result


def _add(result: UndoResult, step: UndoResult) -> None:
    result.removed += step.removed
    result.left += step.left
    result.left_people += step.left_people[: MAX_NAMED - len(result.left_people)]


async def _undo_created(
    tx: Tx, record: ImportRecord, people: Sequence[ImportedPerson], *, force: bool
) -> UndoResult:
    """Remove those of the people whom the import created."""
    result = UndoResult()
    created = [person for person in people if person.created]
    touched = await _find_touched(tx, record, created)
    removed: list[int] = []
    for person in created:
        if person.deleted or not person.exists:
            removed.append(person.user_id)
            continue
        reason = "" if force else _reason(person, touched)
        if not reason:
            user = await users.get(tx, person.user_id)
            reason = await _refusal(tx, user)
            if not reason and user.active and user.role <= Role.OWNER:
                await import_undo.remove_users(tx, [user.id])  # the next may be the last one now
                result.removed += 1
                continue
        if reason:
            result.leave(person, reason)
        else:
            removed.append(person.user_id)
    if removed:
        await import_undo.remove_users(tx, removed)
    result.removed += len(removed)
    return result


async def _find_touched(tx: Tx, record: ImportRecord, people: Sequence[ImportedPerson]) -> set[int]:
    ids = [person.user_id for person in people if person.exists]
    if not ids:
        return set()
    return await import_undo.find_changed(
        tx, ids, since=record.created_at, public_id=record.public_id
    )


def _reason(person: ImportedPerson, touched: set[int]) -> str:
    """Return why somebody is left unless it is forced, or an empty text."""
    if person.last_login_at > person.written_at:
        return "signed_in"
    is_changed = person.updated_at != person.written_at or person.user_id in touched
    return "changed" if is_changed else ""


async def _refusal(tx: Tx, user: User) -> str:
    """Return why the actor may not remove a user, or an empty text."""
    try:
        policy.require(tx.actor, Action.DELETE_USER, user)
        if tx.actor.is_user(user.id):
            return "forbidden"
        await change_user.ensure_not_last(tx, user)
    except (Forbidden, NotFound):
        return "forbidden"
    except LastOwner:
        return "last"
    return ""


async def _undo_update(
    directory: Directory,
    actor: Actor,
    record: ImportRecord,
    person: ImportedPerson,
    result: UndoResult,
    *,
    force: bool,
) -> None:
    """Restore the former values of somebody whom the import updated."""
    reason = ""
    try:
        async with directory.begin(actor) as tx:
            touched = await _find_touched(tx, record, [person])
            if person.written_at and person.exists and not person.deleted:
                reason = "" if force else _reason(person, touched)
                if not reason and person.former is None:
                    reason = "expired"
                if not reason:
                    await _restore(directory, tx, person)
            if not reason:
                await import_undo.remove_rows(tx, record.id, [person.user_id])
    except (Forbidden, NotFound):
        reason = "forbidden"
    except LastOwner:
        reason = "last"
    except Taken:
        reason = "taken"
    if reason:
        result.leave(person, reason)
    elif person.written_at:
        result.restored += 1


async def _restore(directory: Directory, tx: Tx, person: ImportedPerson) -> None:
    plain = crypto.unseal(directory.server_key, SEAL_PURPOSE, (person.former or b"").decode())
    if plain is None:
        raise Taken("key")  # another server key: the values cannot be read
    former: dict[str, Any] = msgspec.json.decode(plain)
    user = await users.get(tx, person.user_id)
    policy.require(tx.actor, Action.UPDATE_USER, user)
    if former.keys() & {"role", "tenant_id"} or former.get("active") is False:
        await change_user.ensure_not_last(tx, user)
    group_ids = former.pop("groups", [])
    kept = {name: former[name] for name in former.keys() & PLAIN_COLUMNS}
    changes = {name: value for name, value in former.items() if name not in PLAIN_COLUMNS}
    if changes:
        await users.save(tx, user, changes)
    if former.keys() & {"role", "tenant_id", "active", "password_hash"}:
        await users.revoke_sessions(tx, user.id)
    for group_id in group_ids:
        await groups.add_member(tx, group_id, user.id)
    await import_undo.restore(tx, user.id, kept)
    audit.write(
        tx,
        AuditAction.UPDATE_USER,
        target_id=user.id,
        tenant_id=user.tenant_id,
        fields=["password" if name == "password_hash" else name for name in changes],
    )


async def _undo_tenants(tx: Tx, record: ImportRecord) -> None:
    """Let the tenants be as before: those that it created are removed if nothing is in them."""
    first_users = msgspec.json.decode(record.tenants, type=dict[int, tuple[bool, bool]])
    created = await import_undo.created_tenants(tx, record.public_id)
    for tenant_id in sorted({*first_users, *created}):
        if await tenants.find(tx, tenant_id, lock="update") is None:
            continue
        if tenant_id in created and await import_undo.remove_tenant(tx, tenant_id):
            continue
        had_users, brought_owner = first_users.get(tenant_id, (True, False))
        await import_undo.forget_first_users(
            tx, tenant_id, had_users=had_users, brought_owner=brought_owner
        )
