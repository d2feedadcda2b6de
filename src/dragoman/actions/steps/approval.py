"""Approval: users who signed up exist at closed contracts once somebody has approved them."""

from __future__ import annotations

from typing import Any

from dragoman.rules.model import User
from dragoman.rules.vocabulary import AuditAction
from dragoman.store import audit, users
from dragoman.store.transaction import Tx


async def approve(tx: Tx, user: User, *, proven: bool = False) -> User:
    """Approve a user, whose row is locked, and return it as changed; approval is never lost.

    Whoever approves a user vouches for the e-mail address that it has now; with ``proven`` the
    address counts as proven as well. Approving an approved user changes nothing.
    """
    changed: dict[str, Any] = {}
    if not user.approved:
        changed = {"approved": True, "email_assigned": bool(user.email)}
    if proven and user.email and not user.verified:
        changed |= {"verified": True, "email_assigned": True}
    if not changed:
        return user
    await users.save(tx, user, changed)
    fields = [name for name in changed if name != "email_assigned"]
    audit.write(
        tx, AuditAction.APPROVE_USER, target_id=user.id, tenant_id=user.tenant_id, fields=fields
    )
    return await users.get(tx, user.id)
