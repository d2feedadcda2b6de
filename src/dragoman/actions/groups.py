"""Groups: list, create, delete, what they hold, who is in them. They hold from the next request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from dragoman.actions.steps.delegation import as_of_now, known, must_hold
from dragoman.rules import fields, policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem, Reason, Taken
from dragoman.rules.fields import canonical
from dragoman.rules.model import Group
from dragoman.rules.vocabulary import Action, Reach
from dragoman.store import audit, groups, tenants, users
from dragoman.store.transaction import Read, Tx

NAME_LIMIT = 150
"""Characters of a group's name."""


class Summary(msgspec.Struct, frozen=True):
    """A group, the codenames of what it holds, and how many members it has."""

    group: Group
    permissions: tuple[str, ...]
    members: int


async def every(read: Read, tenant_id: int | None = None) -> list[Summary]:
    """Return the groups of a tenant, or of all tenants, by id; raises Forbidden or NotFound."""
    if tenant_id is not None:
        policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, tenant_id)
    elif policy.allow(read.actor, Action.ASSIGN_PERMISSION) is not Reach.ANY:
        raise Forbidden(Reason.REACH)
    return await _summed(read, await groups.every(read, tenant_id))


async def view(read: Read, group_id: int) -> Summary:
    """Return one group; raises Forbidden or NotFound."""
    policy.allow(read.actor, Action.ASSIGN_PERMISSION)
    group = await groups.find(read, group_id)
    if group is None:
        raise NotFound
    policy.require_tenant(read.actor, Action.ASSIGN_PERMISSION, group.tenant_id)
    return (await _summed(read, [group]))[0]


async def _summed(at: Read | Tx, found: Sequence[Group]) -> list[Summary]:
    ids = [group.id for group in found]
    codenames, sizes = await groups.codenames_of(at, ids), await groups.sizes(at, ids)
    return [Summary(g, tuple(codenames[g.id]), sizes.get(g.id, 0)) for g in found]


async def create(tx: Tx, tenant_id: int, name: str, ids: Sequence[int] = ()) -> Summary:
    """Add a group that holds these permissions to a tenant.

    Its name is unique there, and never digits alone, so that none is mistaken for an id.
    Raises Forbidden, NotFound or Invalid.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    actor = await as_of_now(tx)
    policy.require_tenant(actor, Action.ASSIGN_PERMISSION, tenant_id)
    await tenants.get(tx, tenant_id, to_change=False)
    name = fields.trim(name)
    wanted = await known(tx, ids, _name_problems(name))
    must_hold(actor, wanted)
    try:
        group = Group(await groups.insert(tx, tenant_id, name), tenant_id, name)
    except Taken as taken:
        raise Invalid(Problem(taken.field, "taken")) from None
    await groups.permit(tx, group.id, [permission.id for permission in wanted])
    told = ("name", "permissions") if wanted else ("name",)
    await _note(tx, "groups.create", group, told)
    return (await _summed(tx, [group]))[0]


def _name_problems(name: str) -> list[Problem]:
    if not name:
        return [Problem("name", "blank")]
    if canonical(name).isdigit():
        return [Problem("name", "numeric")]
    return fields.text_problems(name, "name", limit=NAME_LIMIT)


async def delete(tx: Tx, group_id: int) -> Group:
    """Delete a group; its members lose what it held; returns what it was.

    Raises Forbidden or NotFound.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    group, actor = await _held(tx, group_id)
    await _guard_members(tx, actor, group)
    must_hold(actor, await groups.held(tx, group.id))
    await groups.remove(tx, group.id)
    await _note(tx, "groups.delete", group)
    return group


async def permit(tx: Tx, group_id: int, ids: Sequence[int]) -> Summary:
    """Let a group hold these permissions besides those it has.

    Raises Forbidden (``CONFER`` for what the actor does not hold itself, ``RANK`` where a member
    stands higher), NotFound or Invalid; then nothing is changed.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change(tx, group_id, ids, groups.permit)


async def forbid(tx: Tx, group_id: int, ids: Sequence[int]) -> Summary:
    """Take these permissions from a group; raises as ``permit`` does."""
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change(tx, group_id, ids, groups.forbid)


async def _change(
    tx: Tx,
    group_id: int,
    ids: Sequence[int],
    change: Callable[[Tx, int, list[int]], Awaitable[int]],
) -> Summary:
    group, actor = await _held(tx, group_id)
    await _guard_members(tx, actor, group)
    wanted = await known(tx, ids)
    must_hold(actor, wanted)
    if await change(tx, group.id, [permission.id for permission in wanted]):
        await _note(tx, Action.ASSIGN_PERMISSION, group, ("permissions",))
    return (await _summed(tx, [group]))[0]


async def add(tx: Tx, group_id: int, user_id: int) -> bool:
    """Put a user of the group's tenant into it; False if it was in it already.

    Raises Forbidden, NotFound, or Invalid for a user who does not stand in that tenant.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _admit(tx, group_id, user_id, groups.add)


async def remove(tx: Tx, group_id: int, user_id: int) -> bool:
    """Take a user out of a group; False if it was not in it; raises as ``add`` does."""
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _admit(tx, group_id, user_id, groups.take_out)


async def _admit(
    tx: Tx, group_id: int, user_id: int, change: Callable[[Tx, int, int], Awaitable[bool]]
) -> bool:
    group, _ = await _held(tx, group_id)
    user = await users.get(tx, user_id)
    actor = await as_of_now(tx)
    policy.require(actor, Action.ASSIGN_PERMISSION, user)
    if user.tenant_id != group.tenant_id:
        raise Invalid(Problem("tenant", "foreign_tenant"))
    must_hold(actor, await groups.held(tx, group.id))
    changed = await change(tx, group.id, user.id)
    if changed:
        audit.write(
            tx,
            Action.ASSIGN_PERMISSION,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("groups",),
        )
    return changed


async def _held(tx: Tx, group_id: int) -> tuple[Group, Actor]:
    """Return a group whose row is held from here on, and the actor as it stands after the wait."""
    group = await groups.get(tx, group_id)
    actor = await as_of_now(tx)
    policy.require_tenant(actor, Action.ASSIGN_PERMISSION, group.tenant_id)
    return group, actor


async def _guard_members(tx: Tx, actor: Actor, group: Group) -> None:
    """Let nobody change what somebody of a higher rank holds."""
    highest = await groups.highest(tx, group.id)
    if highest is not None:
        policy.require(actor, Action.ASSIGN_PERMISSION, highest)


async def _note(tx: Tx, action: str, group: Group, told: Iterable[str] = ()) -> None:
    audit.write(
        tx,
        action,
        target_kind="group",
        target_id=group.id,
        tenant_id=group.tenant_id,
        fields=told,
    )
