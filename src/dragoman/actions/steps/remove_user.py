"""Removing a user whose row is locked: as a tombstone, or erased."""

from __future__ import annotations

from dragoman.actions.steps import guess_limits
from dragoman.rules.fields import canonical
from dragoman.rules.model import User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import (
    audit,
    erasures,
    grants,
    invitations,
    one_time_secrets,
    outbox,
    sign_in_failures,
    tokens,
    users,
)
from dragoman.store.erasures import AnyUser
from dragoman.store.transaction import Tx


async def remove(tx: Tx, user: User, *, erase: bool, audit_action: AuditAction) -> None:
    """Delete a user; its username and e-mail address become free.

    Args:
        tx: the transaction.
        user: the user, whose row is locked.
        erase: erase everything that tells who it was, too.
        audit_action: what the history calls it.
    """
    await tokens.remove_for_user(tx, user.id)
    await one_time_secrets.remove_for_user(tx, user.id)
    await outbox.remove_for_user(tx, user.id)
    await grants.remove_all(tx, user.id)
    await sign_in_failures.remove_addresses(tx, user.id)
    await invitations.revoke_by_inviter(tx, user.id)
    await invitations.revoke_by_email(tx, _held_email_key(user))
    if erase:
        await invitations.erase_for_user(tx, _held_email_key(user), user.id)
    await users.remove(tx, user, erase=erase)
    audit.write(tx, audit_action, target_id=user.id, tenant_id=user.tenant_id)
    if erase:
        await _erase_traces(tx, user)


async def erase_any(tx: Tx, found: AnyUser) -> None:
    """Erase a user whose row is locked, and who may have been deleted before."""
    if found.deleted_at:
        await _erase_tombstone(tx, found.user, found.deleted_at)
    else:
        await remove(tx, found.user, erase=True, audit_action=AuditAction.ERASE_USER)


async def _erase_tombstone(tx: Tx, user: User, deleted_at: int) -> None:
    """Erase what is left of a user who was deleted without being erased.

    Args:
        tx: the transaction.
        user: the deleted user, whose row is locked.
        deleted_at: when it was deleted (microseconds): its e-mail address may be somebody else's
            since.
    """
    await outbox.remove_for_user(tx, user.id)
    await invitations.erase_for_user(tx, _held_email_key(user), user.id, until=deleted_at)
    await erasures.blank_tombstone(tx, user.id)
    audit.write(tx, AuditAction.ERASE_USER, target_id=user.id, tenant_id=user.tenant_id)
    await _erase_traces(tx, user)


async def _erase_traces(tx: Tx, user: User) -> None:
    """Erase a person's traces in other tables, and record the erasure there and in the ledger.

    Runs after the erasure's own row of the history was written: it holds an address, too.
    """
    await guess_limits.unlock(tx, user)
    await erasures.clear_traces(tx, user.id)
    await erasures.insert(tx, user.public_id, tx.now)
    tx.erased.append(user.public_id)


def _held_email_key(user: User) -> str:
    """Return the key of the user's address; invitations to one that it only claims are another's."""
    return canonical(user.email) if user.holds_email else ""
