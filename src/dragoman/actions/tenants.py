"""Tenants: list, view, create, change, switch off, delete."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from dragoman.actions.steps.create_user import trim_fields
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
from dragoman.store.transaction import LOCK_SUPERADMINS, LOCK_TENANT_NAMES, Read, Tx
from dragoman.store.user_lists import counters


class TenantWithCount(msgspec.Struct, frozen=True):
    """A tenant and how many users it has."""

    tenant: Tenant
    user_count: int


async def list_page(
    read: Read,
    *,
    words: tuple[str, ...] = (),
    active: bool | None = None,
    order: tuple[str, bool] = ("name", False),
    limit: int,
    offset: int = 0,
    problems: Iterable[Problem] = (),
) -> Page[TenantWithCount]:
    """Return tenants that the actor may list (see ``store.tenants.page``).

    Raises Forbidden, or Invalid for what the dialect found wrong with the filters.
    """
    reach = policy.require_reach(read.actor, Action.LIST_TENANTS)
    all_problems = list(problems)
    if all_problems:
        raise Invalid(*all_problems)
    found = await tenants.page(
        read, reach, words=words, active=active, order=order, limit=limit, offset=offset
    )
    user_counts = await counters.count_by_tenant(read, [tenant.id for tenant in found.rows])
    rows = [TenantWithCount(tenant, user_counts.get(tenant.id, 0)) for tenant in found.rows]
    return Page(rows, found.count)


async def get(read: Read, tenant_id: int) -> TenantWithCount:
    """Return one tenant; raises Forbidden or NotFound."""
    policy.require_tenant(read.actor, Action.VIEW_TENANT, tenant_id)
    return await _with_count(read, await tenants.find(read, tenant_id))


async def get_own(read: Read) -> TenantWithCount:
    """Return the actor's own tenant; raises NoTenant where there is none."""
    policy.require_reach(read.actor, Action.VIEW_OWN_TENANT)
    if read.actor.tenant_id is None:
        raise NoTenant
    return await _with_count(read, await tenants.find(read, read.actor.tenant_id))


async def _with_count(reader: Read | Tx, tenant: Tenant | None) -> TenantWithCount:
    if tenant is None:
        raise NotFound
    user_counts = await counters.count_by_tenant(reader, [tenant.id])
    return TenantWithCount(tenant, user_counts.get(tenant.id, 0))


async def create(
    tx: Tx, new: TenantChanges, *, problems: Iterable[Problem] = ()
) -> TenantWithCount:
    """Add a tenant; raises Forbidden or Invalid."""
    policy.require_reach(tx.actor, Action.CREATE_TENANT)
    await tx.lock(LOCK_TENANT_NAMES)
    await _validate(tx, new, list(problems))
    values = {n: v for n, v in msgspec.structs.asdict(new).items() if v is not UNSET}
    defaults = {"email": "", "url": "", "description": "", "active": True}
    tenant_id = await tenants.insert(tx, {"public_id": str(uuid.uuid4()), **defaults, **values})
    audit.write(
        tx,
        Action.CREATE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
        fields=values,
    )
    return await _with_count(tx, await tenants.find(tx, tenant_id))


async def _validate(
    tx: Tx, changes: TenantChanges, problems: list[Problem], exclude_id: int = 0
) -> None:
    trim_fields(changes)
    reported_fields = {problem.field for problem in problems}
    problems += [p for p in fields.tenant_problems(changes) if p.field not in reported_fields]
    reported_fields = {problem.field for problem in problems}
    lookups = {"name": tenants.find_by_name, "slug": tenants.find_by_slug}
    for field, lookup in lookups.items():
        value = getattr(changes, field)
        if value is UNSET or field in reported_fields:
            continue
        existing = await lookup(tx, value)
        if existing is not None and existing.id != exclude_id:
            problems.append(Problem(field, "taken"))
    if problems:
        raise Invalid(*problems)


async def update(
    tx: Tx,
    tenant_id: int,
    changes: TenantChanges,
    *,
    home_slug: str,
    problems: Iterable[Problem] = (),
) -> TenantWithCount:
    """Change a tenant; switching it off ends every session of its users.

    ``home`` is the slug of the settings' tenant, where sign-ups stand: that one keeps it, and no
    other takes it.
    Raises Forbidden, NotFound, Invalid or LastSuperadmin; then nothing is changed.
    """
    policy.require_tenant(tx.actor, Action.UPDATE_TENANT, tenant_id)
    await tx.lock(LOCK_TENANT_NAMES)
    tenant = await tenants.get(tx, tenant_id, for_update=True)
    if changes.active is not UNSET and changes.active is not tenant.active:
        policy.require_reach(tx.actor, Action.SWITCH_TENANT)
    all_problems = list(problems)
    if changes.slug is not UNSET and changes.slug != tenant.slug:
        if canonical(tenant.slug) == canonical(home_slug):
            all_problems.append(Problem("slug", "fixed"))
        elif canonical(changes.slug.strip()) == canonical(home_slug):
            all_problems.append(Problem("slug", "taken"))
    await _validate(tx, changes, all_problems, exclude_id=tenant_id)
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
            await tenants.revoke_sessions(tx, tenant_id)
        audit.write(
            tx,
            Action.UPDATE_TENANT,
            target_kind="tenant",
            target_id=tenant_id,
            tenant_id=tenant_id,
            fields=changed,
        )
    return await _with_count(tx, await tenants.find(tx, tenant_id))


async def delete(tx: Tx, tenant_id: int, *, home_slug: str) -> None:
    """Delete a tenant without users, but for the settings' own (slug ``home``).

    Raises Forbidden, NotFound or InUse.
    """
    policy.require_tenant(tx.actor, Action.DELETE_TENANT, tenant_id)
    tenant = await tenants.get(tx, tenant_id, for_update=True)
    if await tenants.has_users(tx, tenant_id):
        raise InUse
    if canonical(tenant.slug) == canonical(home_slug):
        raise Forbidden(Reason.REACH)
    await tenants.save(tx, tenant, {"deleted_at": tx.now})
    await tenants.revoke_sessions(tx, tenant_id)
    audit.write(
        tx,
        Action.DELETE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
    )
