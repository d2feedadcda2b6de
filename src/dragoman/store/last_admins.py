"""Checks for other active owners and superadmins, of whom the last one must remain."""

from __future__ import annotations

import sqlalchemy as sa

from dragoman.rules.model import Role, User
from dragoman.store.query import Query, bind
from dragoman.store.schema import LIVING, tenants, users
from dragoman.store.transaction import Tx

_OTHER_ACTIVE = sa.select(users.c.id).where(
    LIVING, users.c.active, users.c.id != bind("exclude_id")
)
_OTHER_OWNER: Query[int] = Query(
    _OTHER_ACTIVE.where(
        users.c.tenant_id == bind("tenant_id"), users.c.role == int(Role.OWNER)
    ).limit(1)
)
_SUPERADMIN = (
    sa.select(users.c.id)
    .outerjoin(tenants, tenants.c.id == users.c.tenant_id)
    .where(
        LIVING,
        users.c.active,
        users.c.role == int(Role.SUPERADMIN),
        sa.or_(tenants.c.id.is_(None), tenants.c.active),
    )
    .limit(1)
)
_ANY_SUPERADMIN: Query[int] = Query(_SUPERADMIN)
_OTHER_SUPERADMIN: Query[int] = Query(_SUPERADMIN.where(users.c.id != bind("exclude_id")))
_OUTSIDE_SUPERADMIN: Query[int] = Query(
    _SUPERADMIN.where(users.c.tenant_id.is_distinct_from(bind("tenant_id")))
)


async def has_other_owner(tx: Tx, user: User) -> bool:
    """Return whether the user's tenant has another active owner; the caller holds LOCK_OWNERS."""
    found = await tx.fetch_one(_OTHER_OWNER, exclude_id=user.id, tenant_id=user.tenant_id)
    return found is not None


async def has_superadmin(tx: Tx) -> bool:
    """Return whether there is an active superadmin."""
    return await tx.fetch_one(_ANY_SUPERADMIN) is not None


async def has_other_superadmin(tx: Tx, user: User) -> bool:
    """Return whether another active superadmin exists; the caller holds LOCK_SUPERADMINS."""
    return await tx.fetch_one(_OTHER_SUPERADMIN, exclude_id=user.id) is not None


async def has_superadmin_outside(tx: Tx, tenant_id: int) -> bool:
    """Return whether an active superadmin exists outside a tenant.

    The caller holds LOCK_SUPERADMINS.
    """
    return await tx.fetch_one(_OUTSIDE_SUPERADMIN, tenant_id=tenant_id) is not None
