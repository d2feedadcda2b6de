"""Tenants: list, view, create, change, switch off, delete."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions.steps.create_user import trim
from dragoman.rules import fields, policy
from dragoman.rules.errors import (
    Forbidden,
    InUse,
    Invalid,
    LastSuperadmin,
    NoTenant,
    NotFound,
    Problem,
    Reason,
)
from dragoman.rules.fields import canonical
from dragoman.rules.model import Page, Tenant, TenantChanges
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, last_admins, tenants
from dragoman.store.transaction import LOCK_SUPERADMINS, LOCK_TENANTS, Read, Tx
from dragoman.store.user_lists import counters


class Counted(msgspec.Struct, frozen=True):
    """A tenant and how many users it has."""

    tenant: Tenant
    users: int


async def page(
    read: Read,
    *,
    words: tuple[str, ...] = (),
    active: bool | None = None,
    order: tuple[str, bool] = ("name", False),
    limit: int,
    offset: int = 0,
    problems: Iterable[Problem] = (),
) -> Page[Counted]:
    """Return tenants that the actor may list (see ``store.tenants.page``).

    Raises Forbidden, or Invalid for what the dialect found wrong with the filters.
    """
    reach = policy.allow(read.actor, Action.LIST_TENANTS)
    faults = list(problems)
    if faults:
        raise Invalid(*faults)
    found = await tenants.page(
        read, reach, words=words, active=active, order=order, limit=limit, offset=offset
    )
    numbers = await counters.per_tenant(read, [tenant.id for tenant in found.rows])
    rows = [Counted(tenant, numbers.get(tenant.id, 0)) for tenant in found.rows]
    return Page(rows, found.count)


async def view(read: Read, tenant_id: int) -> Counted:
    """Return one tenant; raises Forbidden or NotFound."""
    policy.require_tenant(read.actor, Action.VIEW_TENANT, tenant_id)
    return await _counted(read, await tenants.find(read, tenant_id))


async def view_own(read: Read) -> Counted:
    """Return the actor's own tenant; raises NoTenant where there is none."""
    policy.allow(read.actor, Action.VIEW_OWN_TENANT)
    if read.actor.tenant_id is None:
        raise NoTenant
    return await _counted(read, await tenants.find(read, read.actor.tenant_id))


async def _counted(at: Read | Tx, tenant: Tenant | None) -> Counted:
    if tenant is None:
        raise NotFound
    numbers = await counters.per_tenant(at, [tenant.id])
    return Counted(tenant, numbers.get(tenant.id, 0))


async def create(tx: Tx, new: TenantChanges, *, problems: Iterable[Problem] = ()) -> Counted:
    """Add a tenant; raises Forbidden or Invalid."""
    policy.allow(tx.actor, Action.CREATE_TENANT)
    await tx.lock(LOCK_TENANTS)
    await _check(tx, new, list(problems))
    given = {n: v for n, v in msgspec.structs.asdict(new).items() if v is not UNSET}
    blank = {"email": "", "url": "", "description": "", "active": True}
    tenant_id = await tenants.insert(tx, {"public_id": str(uuid.uuid4()), **blank, **given})
    audit.write(
        tx,
        Action.CREATE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
        fields=given,
    )
    return await _counted(tx, await tenants.find(tx, tenant_id))


async def _check(tx: Tx, changes: TenantChanges, faults: list[Problem], besides: int = 0) -> None:
    trim(changes)
    told = {fault.field for fault in faults}
    faults += [p for p in fields.tenant_problems(changes) if p.field not in told]
    told = {fault.field for fault in faults}
    looks = {"name": tenants.find_by_name, "slug": tenants.find_by_slug}
    for field, look in looks.items():
        value = getattr(changes, field)
        if value is UNSET or field in told:
            continue
        holder = await look(tx, value)
        if holder is not None and holder.id != besides:
            faults.append(Problem(field, "taken"))
    if faults:
        raise Invalid(*faults)


async def update(
    tx: Tx,
    tenant_id: int,
    changes: TenantChanges,
    *,
    home: str,
    problems: Iterable[Problem] = (),
) -> Counted:
    """Change a tenant; switching it off ends every session of its users.

    ``home`` is the slug of the settings' tenant, where sign-ups stand: that one keeps it, and no
    other takes it.
    Raises Forbidden, NotFound, Invalid or LastSuperadmin; then nothing is changed.
    """
    policy.require_tenant(tx.actor, Action.UPDATE_TENANT, tenant_id)
    await tx.lock(LOCK_TENANTS)
    tenant = await tenants.get(tx, tenant_id, to_change=True)
    if changes.active is not UNSET and changes.active is not tenant.active:
        policy.allow(tx.actor, Action.SWITCH_TENANT)
    faults = list(problems)
    if changes.slug is not UNSET and changes.slug != tenant.slug:
        if canonical(tenant.slug) == canonical(home):
            faults.append(Problem("slug", "fixed"))
        elif canonical(changes.slug.strip()) == canonical(home):
            faults.append(Problem("slug", "taken"))
    await _check(tx, changes, faults, besides=tenant_id)
    changed: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(changes).items()
        if value is not UNSET and value != getattr(tenant, name)
    }
    if changed:
        await tenants.save(tx, tenant, changed)
        if changed.get("active") is False:
            await tx.lock(LOCK_SUPERADMINS)
            if not await last_admins.has_superadmin_outside(tx, tenant_id):
                raise LastSuperadmin
            await tenants.cut_off(tx, tenant_id)
        audit.write(
            tx,
            Action.UPDATE_TENANT,
            target_kind="tenant",
            target_id=tenant_id,
            tenant_id=tenant_id,
            fields=changed,
        )
    return await _counted(tx, await tenants.find(tx, tenant_id))


async def delete(tx: Tx, tenant_id: int, *, home: str) -> None:
    """Delete a tenant without users, but for the settings' own (slug ``home``).

    Raises Forbidden, NotFound or InUse.
    """
    policy.require_tenant(tx.actor, Action.DELETE_TENANT, tenant_id)
    tenant = await tenants.get(tx, tenant_id, to_change=True)
    if await tenants.is_inhabited(tx, tenant_id):
        raise InUse
    if canonical(tenant.slug) == canonical(home):
        raise Forbidden(Reason.REACH)
    await tenants.save(tx, tenant, {"deleted_at": tx.now})
    await tenants.cut_off(tx, tenant_id)
    audit.write(
        tx,
        Action.DELETE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
    )
