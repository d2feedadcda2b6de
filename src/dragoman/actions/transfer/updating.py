"""Updates people with the rows of an import, by the rules of a change by an administrator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dragoman.actions import users as user_actions
from dragoman.actions.directory import Directory
from dragoman.actions.steps import approval, change_user, delegation, mailed_links
from dragoman.actions.transfer import runs
from dragoman.actions.transfer.changes import PLAIN_FIELDS
from dragoman.actions.transfer.matching import Verdict
from dragoman.actions.transfer.records import ImportedUser, OutcomeKind
from dragoman.actions.transfer.runs import ImportRun
from dragoman.rules import crypto, policy
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import Role, User, UserChanges
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, bulk_users, groups, invitations, tenants, users
from dragoman.store.bulk_users import ExistingUser
from dragoman.store.transaction import Tx

SEAL_PURPOSE = "former values of imports"


async def update(
    directory: Directory,
    tx: Tx,
    run: ImportRun,
    rows: Sequence[ImportedUser],
    verdicts: Sequence[Verdict],
) -> None:
    """Update the people whom rows match; their former values are kept in the verdicts, sealed.

    Args:
        directory: the application's shared state.
        tx: the transaction.
        run: the import.
        rows: the rows of the chunk.
        verdicts: what is to be done with each.

    Raises:
        Whatever the actions raise that change users one by one.
    """
    policy.require_reach(tx.actor, Action.IMPORT_USERS)
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict.outcome.kind is OutcomeKind.UPDATED and not verdict.done:
            assert verdict.existing is not None, "what is updated exists"
            former = await _update(tx, run, verdict.existing, dict(verdict.changes), row)
            verdict.former = crypto.seal(
                directory.server_key, SEAL_PURPOSE, msgspec.json.encode(former)
            ).encode()


async def _update(
    tx: Tx,
    run: ImportRun,
    existing: ExistingUser,
    changes: dict[str, Any],
    row: ImportedUser,
) -> dict[str, Any]:
    """Change a user, and return its former values of the columns that have changed."""
    user_id = existing.user.id
    before, former_hash = await users.get_with_hash(tx, user_id)
    policy.require(tx.actor, Action.UPDATE_USER, before)
    plain = {name: changes[name] for name in PLAIN_FIELDS if name in changes}
    user = before
    if plain:
        user = await user_actions.update(
            tx, user_id, UserChanges(**plain), charset=UsernameCharset.PERMISSIVE
        )
    group_ids: list[int] = []
    if "tenant_id" in changes:
        group_ids = await groups.remove_from_all(tx, user_id)
        user = await _move_to_tenant(tx, run, user, changes["tenant_id"], changes.get("role"))
    elif changes.get("role") is Role.OWNER and user.tenant_id:
        await runs.note_first_users(tx, run, user.tenant_id, brings_owner=True)
    if "role" in changes:
        user = await user_actions.assign_role(tx, user_id, changes["role"])
    if "approved" in changes:
        user = await approval.approve(tx, user)
    await _save_marks(tx, user, changes)
    if "password_hash" in changes:
        await _set_password_hash(tx, user, changes["password_hash"], row)
    audit.write(
        tx,
        AuditAction.IMPORT_USER,
        target_id=user_id,
        tenant_id=before.tenant_id,
        fields=["password" if name == "password_hash" else name for name in changes],
    )
    await bulk_users.touch(tx, user_id)
    former = _differences(before, await users.get(tx, user_id))
    if "password_hash" in changes:
        former |= {
            "password_hash": former_hash,
            "password_reaches": existing.password_reaches,
            "hash_imported_at": existing.hash_imported_at,
        }
    return former | ({"groups": group_ids} if group_ids else {})


def _differences(before: User, after: User) -> dict[str, Any]:
    """Return the former values of the columns in which a user has changed."""
    kept = {"tenant_name", "auth_epoch"}  # that of the tenant, and one that never goes back
    return {
        name: value
        for name, value in msgspec.structs.asdict(before).items()
        if value != getattr(after, name) and name not in kept
    }


async def _save_marks(tx: Tx, user: User, changes: dict[str, Any]) -> None:
    """Save what is known of the address of a user, if it changes."""
    marks = {name: changes[name] for name in ("verified", "email_assigned") if name in changes}
    if marks := {name: value for name, value in marks.items() if value != getattr(user, name)}:
        await users.save(tx, user, marks)


async def _move_to_tenant(
    tx: Tx, run: ImportRun, user: User, tenant_id: int, role: Role | None
) -> User:
    """Move a user, who has left its groups, to another tenant; its sessions end."""
    policy.require(tx.actor, Action.DELETE_USER, user)
    policy.require_tenant(tx.actor, Action.IMPORT_USERS, tenant_id)
    await change_user.ensure_not_last(tx, user)
    await tenants.get(tx, tenant_id, lock="update")
    new_role = user.role if role is None else role
    await runs.note_first_users(tx, run, tenant_id, brings_owner=new_role is Role.OWNER)
    await users.save(tx, user, {"tenant_id": tenant_id})
    await users.revoke_sessions(tx, user.id)
    await invitations.revoke_by_inviter(tx, user.id)
    return await users.get(tx, user.id)


async def _set_password_hash(tx: Tx, user: User, encoded: str, row: ImportedUser) -> None:
    """Replace a user's password by that of a row, as ``set_password`` does."""
    policy.require(tx.actor, Action.SET_PASSWORD, user)
    await delegation.require_power_over(tx, user)
    strong = row.strong_password if isinstance(row.strong_password, bool) else None
    await bulk_users.set_imported_hash(tx, user.id, encoded, strong=strong)
    await users.revoke_sessions(tx, user.id)
    await mailed_links.void_password_links(tx, user.id)
    await invitations.revoke_by_inviter(tx, user.id)
