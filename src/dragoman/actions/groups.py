"""Groups: list, create, delete, and change their permissions and members.

Changes take effect with each member's next request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from dragoman.actions import user_lists
from dragoman.actions.steps import approval
from dragoman.actions.steps.delegation import current_permissions, require_held, resolve_permissions
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem, Reason, Taken
from dragoman.rules.fields import canonical
from dragoman.rules.model import Group, Page, User
from dragoman.rules.vocabulary import Action, AuditAction, Reach
from dragoman.store import audit, groups, tenants, users
from dragoman.store.transaction import Read, Tx

MAX_NAME_LENGTH = 150
"""Maximum length of a group's name in characters."""


class GroupSummary(msgspec.Struct, frozen=True):
    """A group, the codenames of its permissions, and the number of its members."""

    group: Group
    permissions: tuple[str, ...]
    member_count: int


async def list_all(read: Read, tenant_id: int | None = None) -> list[GroupSummary]:
    """Return the groups of a tenant, or of all tenants, ordered by id.

    Raises Forbidden or NotFound.
    """
    if tenant_id is not None:
        policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, tenant_id)
    elif policy.require_reach(read.actor, Action.ASSIGN_PERMISSION) is not Reach.ANY:
        raise Forbidden(Reason.REACH)
    return await _summarise(read, await groups.list_all(read, tenant_id))


async def list_page(
    read: Read,
    tenant_id: int | None = None,
    *,
    words: tuple[str, ...] = (),
    limit: int,
    offset: int = 0,
) -> Page[GroupSummary]:
    """Return a page of the groups that the actor may change, by name, and their exact count.

    Args:
        read: a reader that acts for the caller.
        tenant_id: the tenant whose groups are listed; None for all in reach.
        words: canonical words; each must occur in the name.
        limit: the maximum number of groups.
        offset: the number of groups to skip.

    Raises:
        Forbidden, NotFound: the policy refuses.
    """
    reach = policy.require_reach(read.actor, Action.ASSIGN_PERMISSION)
    if tenant_id is None and reach is not Reach.ANY:
        tenant_id = read.actor.tenant_id
    if tenant_id is not None:
        policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, tenant_id)
    found = await groups.page(read, tenant_id, words, limit=limit, offset=offset)
    return Page(await _summarise(read, found.rows), found.count)


async def tenant_names(read: Read, summaries: Iterable[GroupSummary]) -> dict[int, str]:
    """Return the names of the tenants of groups by their id; raises Forbidden or NotFound."""
    tenant_ids = sorted({each.group.tenant_id for each in summaries})
    for tenant_id in tenant_ids:
        policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, tenant_id)
    return await tenants.names_by_id(read, tenant_ids)


async def list_members(read: Read, group_id: int, *, limit: int, offset: int = 0) -> list[User]:
    """Return some members of a group, by username.

    Args:
        read: a reader that acts for the caller.
        group_id: the group.
        limit: the maximum number of members.
        offset: the number of members to skip.

    Raises:
        Forbidden, NotFound: the policy refuses.
    """
    policy.require_reach(read.actor, Action.LIST_USERS)
    group = (await get(read, group_id)).group
    members = await groups.list_members(read, group.id, limit=limit, offset=offset)
    return [user_lists.shown_to(read.actor, member) for member in members]


async def is_outranked(read: Read, group_id: int) -> bool:
    """Return whether a member has a higher role than the actor, who may not change the group then.

    Raises Forbidden or NotFound.
    """
    policy.require_reach(read.actor, Action.ASSIGN_PERMISSION)
    group = (await get(read, group_id)).group
    try:
        await _require_rank_over_members(read, read.actor, group)
    except Forbidden:
        return True
    return False


async def get(read: Read, group_id: int) -> GroupSummary:
    """Return one group; raises Forbidden or NotFound."""
    policy.require_reach(read.actor, Action.ASSIGN_PERMISSION)
    group = await groups.find(read, group_id)
    if group is None:
        raise NotFound
    policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, group.tenant_id)
    return (await _summarise(read, [group]))[0]


async def _summarise(reader: Read | Tx, rows: Sequence[Group]) -> list[GroupSummary]:
    group_ids = [group.id for group in rows]
    codenames, member_counts = (
        await groups.codenames_by_group(reader, group_ids),
        await groups.member_counts(reader, group_ids),
    )
    return [GroupSummary(g, tuple(codenames[g.id]), member_counts.get(g.id, 0)) for g in rows]


async def create(
    tx: Tx, tenant_id: int, name: str, permission_ids: Sequence[int] = ()
) -> GroupSummary:
    """Create a group with these permissions in a tenant.

    Args:
        tx: the transaction of the change.
        tenant_id: the group's tenant.
        name: the group's name; unique in the tenant, and not only digits, because the command
            line accepts a name or an id.
        permission_ids: the group's permissions.

    Raises:
        Forbidden, NotFound: the policy refuses; DELEGATION for a permission that the actor lacks.
        Invalid: the name is not valid or taken, or a permission is unknown.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    actor = await current_permissions(tx)
    policy.require_tenant(actor, Action.ASSIGN_PERMISSION, tenant_id)
    await tenants.get(tx, tenant_id, lock="share")
    name = fields.trim(name)
    granted = await resolve_permissions(tx, permission_ids, _name_problems(name))
    require_held(actor, granted)
    try:
        group = Group(await groups.insert(tx, tenant_id, name), tenant_id, name)
    except Taken as error:
        raise Invalid(Problem(error.field, "taken")) from None
    await groups.add_permissions(tx, group.id, [permission.id for permission in granted])
    changed_fields = ("name", "permissions") if granted else ("name",)
    await _write_audit(tx, AuditAction.CREATE_GROUP, group, changed_fields)
    return (await _summarise(tx, [group]))[0]


def _name_problems(name: str) -> list[Problem]:
    if not name:
        return [Problem("name", "blank")]
    if canonical(name).isdigit():
        return [Problem("name", "numeric")]
    return fields.text_problems(name, "name", max_length=MAX_NAME_LENGTH)


async def delete(tx: Tx, group_id: int) -> Group:
    """Delete a group and return it; its members lose its permissions.

    Raises Forbidden or NotFound.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    group, actor = await _lock_group(tx, group_id)
    await _require_rank_over_members(tx, actor, group)
    require_held(actor, await groups.list_permissions(tx, group.id))
    await groups.remove(tx, group.id)
    await _write_audit(tx, AuditAction.DELETE_GROUP, group)
    return group


async def add_permissions(tx: Tx, group_id: int, permission_ids: Sequence[int]) -> GroupSummary:
    """Add these permissions to a group.

    Raises:
        Forbidden: DELEGATION for a permission that the actor lacks; RANK if a member has a higher
            role than the actor.
        NotFound: the group does not exist or is out of reach.
        Invalid: a permission is unknown.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_permissions(tx, group_id, permission_ids, groups.add_permissions)


async def remove_permissions(tx: Tx, group_id: int, permission_ids: Sequence[int]) -> GroupSummary:
    """Remove these permissions from a group; raises like ``add_permissions``."""
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_permissions(tx, group_id, permission_ids, groups.remove_permissions)


async def _change_permissions(
    tx: Tx,
    group_id: int,
    permission_ids: Sequence[int],
    change: Callable[[Tx, int, list[int]], Awaitable[int]],
) -> GroupSummary:
    group, actor = await _lock_group(tx, group_id)
    await _require_rank_over_members(tx, actor, group)
    requested = await resolve_permissions(tx, permission_ids)
    require_held(actor, requested)
    if await change(tx, group.id, [permission.id for permission in requested]):
        await _write_audit(tx, AuditAction.ASSIGN_PERMISSION, group, ("permissions",))
    return (await _summarise(tx, [group]))[0]


async def add_member(tx: Tx, group_id: int, user_id: int) -> bool:
    """Add a user to a group of its tenant; return False if it was a member already.

    Raises:
        Forbidden, NotFound: the policy refuses; DELEGATION for a permission that the actor lacks.
        Invalid: the user belongs to another tenant.
    """
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_membership(tx, group_id, user_id, groups.add_member)


async def remove_member(tx: Tx, group_id: int, user_id: int) -> bool:
    """Remove a user from a group; return False if it was no member; raises like ``add_member``."""
    policy.require_reach(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change_membership(tx, group_id, user_id, groups.remove_member)


async def _change_membership(
    tx: Tx, group_id: int, user_id: int, change: Callable[[Tx, int, int], Awaitable[bool]]
) -> bool:
    group, _ = await _lock_group(tx, group_id)
    user = await users.get(tx, user_id)
    actor = await current_permissions(tx)
    policy.require(actor, Action.ASSIGN_PERMISSION, user)
    if user.tenant_id != group.tenant_id:
        raise Invalid(Problem("tenant", "foreign_tenant"))
    require_held(actor, await groups.list_permissions(tx, group.id))
    changed = await change(tx, group.id, user.id)
    if changed:
        if change is groups.add_member:
            await approval.approve(tx, user)
        audit.write(
            tx,
            AuditAction.ASSIGN_PERMISSION,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("groups",),
        )
    return changed


async def _lock_group(tx: Tx, group_id: int) -> tuple[Group, Actor]:
    """Lock a group's row; return the group, and the actor with its permissions after the wait."""
    group = await groups.get(tx, group_id)
    actor = await current_permissions(tx)
    policy.require_tenant(actor, Action.ASSIGN_PERMISSION, group.tenant_id)
    return group, actor


async def _require_rank_over_members(reader: Read | Tx, actor: Actor, group: Group) -> None:
    """Raise Forbidden(RANK) if a member has a higher role than the actor."""
    highest_member = await groups.highest_ranked_member(reader, group.id)
    if highest_member is not None:
        policy.require(actor, Action.ASSIGN_PERMISSION, highest_member)


async def _write_audit(
    tx: Tx, action: AuditAction, group: Group, changed_fields: Iterable[str] = ()
) -> None:
    audit.write(
        tx,
        action,
        target_kind="group",
        target_id=group.id,
        tenant_id=group.tenant_id,
        fields=changed_fields,
    )
