"""Tenants: list, view, create, update, deactivate, delete."""

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
from dragoman.rules.vocabulary import Action, AuditAction
from dragoman.store import audit, last_admins, tenants
from dragoman.store.transaction import LOCK_SUPERADMINS, LOCK_TENANT_NAMES, Read, Tx
from dragoman.store.user_lists import counters


class TenantWithCount(msgspec.Struct, frozen=True):
    """A tenant and the number of its users."""

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
    """Return a page of the tenants that the actor may list (see ``store.tenants.page``).

    Args:
        read: a reader that acts for the caller.
        words: canonical texts; each must occur in the name, slug or e-mail address.
        active: only active or only inactive tenants; None: both.
        order: the column to sort by, and whether in descending order.
        limit: the maximum number of tenants.
        offset: the number of tenants to skip.
        problems: what the dialect found wrong with the filters.

    Raises:
        Forbidden: the actor may not list tenants.
        Invalid: the dialect reported problems.
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


async def owner_counts(read: Read, tenant_ids: Iterable[int]) -> dict[int, int]:
    """Return the number of active owners of each of these tenants; raises Forbidden or NotFound."""
    listed = list(tenant_ids)
    policy.require_reach(read.actor, Action.VIEW_TENANT)
    for tenant_id in listed:
        policy.require_tenant(read.actor, Action.VIEW_TENANT, tenant_id)
    found = await counters.count_owners_by_tenant(read, listed)
    return dict.fromkeys(listed, 0) | found


async def find(read: Read, text: str) -> Tenant:
    """Return the tenant with this slug, else with this name; raises Forbidden or NotFound."""
    policy.require_reach(read.actor, Action.VIEW_TENANT)
    tenant = await tenants.find_by_slug(read, text.strip())
    tenant = tenant or await tenants.find_by_name(read, text.strip())
    if tenant is None:
        raise NotFound
    policy.require_tenant(read.actor, Action.VIEW_TENANT, tenant.id)
    return tenant


async def get(read: Read, tenant_id: int) -> TenantWithCount:
    """Return one tenant; raises Forbidden or NotFound."""
    policy.require_tenant(read.actor, Action.VIEW_TENANT, tenant_id)
    return await _with_count(read, await tenants.find(read, tenant_id))


async def get_own(read: Read) -> TenantWithCount:
    """Return the actor's own tenant; raises Forbidden, NoTenant or NotFound."""
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
    """Create a tenant; raises Forbidden or Invalid."""
    policy.require_reach(tx.actor, Action.CREATE_TENANT)
    await tx.lock(LOCK_TENANT_NAMES)
    await _validate(tx, new, list(problems))
    values = {n: v for n, v in msgspec.structs.asdict(new).items() if v is not UNSET}
    defaults = {"email": "", "url": "", "description": "", "active": True}
    tenant_id = await tenants.insert(tx, {"public_id": str(uuid.uuid4()), **defaults, **values})
    audit.write(
        tx,
        AuditAction.CREATE_TENANT,
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
    """Update a tenant; deactivation revokes all sessions of its users.

    Args:
        tx: the transaction of the change.
        tenant_id: the tenant to update.
        changes: the new values; UNSET keeps the current one.
        home_slug: the slug of the default tenant; no tenant can gain or lose it.
        problems: what the dialect found wrong with the request; reported together with the rest.

    Raises:
        Forbidden, NotFound: the policy refuses.
        Invalid: every problem that was found.
        LastSuperadmin: deactivation would lock out the last active superadmin.
    """
    policy.require_tenant(tx.actor, Action.UPDATE_TENANT, tenant_id)
    await tx.lock(LOCK_TENANT_NAMES)
    tenant = await tenants.get(tx, tenant_id, lock="update")
    if changes.active is not UNSET and changes.active is not tenant.active:
        policy.require_reach(tx.actor, Action.SWITCH_TENANT)
    all_problems = [*problems, *_home_slug_problems(tenant, changes, home_slug)]
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
            AuditAction.UPDATE_TENANT,
            target_kind="tenant",
            target_id=tenant_id,
            tenant_id=tenant_id,
            fields=changed,
        )
    return await _with_count(tx, await tenants.find(tx, tenant_id))


def _home_slug_problems(tenant: Tenant, changes: TenantChanges, home_slug: str) -> list[Problem]:
    if changes.slug is UNSET or changes.slug == tenant.slug:
        return []
    if canonical(tenant.slug) == canonical(home_slug):
        return [Problem("slug", "fixed")]
    if canonical(changes.slug.strip()) == canonical(home_slug):
        return [Problem("slug", "taken")]
    return []


async def delete(tx: Tx, tenant_id: int, *, home_slug: str) -> None:
    """Delete a tenant that has no users and is not the default one (slug ``home_slug``).

    Raises Forbidden, NotFound or InUse.
    """
    policy.require_tenant(tx.actor, Action.DELETE_TENANT, tenant_id)
    tenant = await tenants.get(tx, tenant_id, lock="update")
    if await tenants.has_users(tx, tenant_id):
        raise InUse
    if canonical(tenant.slug) == canonical(home_slug):
        raise Forbidden(Reason.REACH)
    await tenants.save(tx, tenant, {"deleted_at": tx.now})
    await tenants.revoke_sessions(tx, tenant_id)
    audit.write(
        tx,
        AuditAction.DELETE_TENANT,
        target_kind="tenant",
        target_id=tenant_id,
        tenant_id=tenant_id,
    )
