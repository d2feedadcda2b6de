"""Access to foreign resources: view it, replace it; nobody confers a level that it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.actions.steps.delegation import as_of_now, can_give_access
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, User
from dragoman.rules.vocabulary import Action
from dragoman.store import access, audit, users
from dragoman.store.transaction import Read, Tx


async def view(read: Read, user: User) -> list[Access]:
    """Return what a user may use, ordered by resource; raises Forbidden or NotFound."""
    policy.require(read.actor, Action.VIEW_ACCESS, user)
    return await access.of(read, user.id)


async def replace(
    tx: Tx,
    user_id: int,
    wanted: Sequence[Access],
    *,
    greatest: str,
    problems: Iterable[Problem] = (),
) -> None:
    """Replace the whole of what a user may use; all or nothing.

    Args:
        tx: the transaction of the change.
        user_id: whose access it is.
        wanted: resources and their levels; what is not among them is taken away.
        greatest: the contract's level that includes every other.
        problems: what the dialect found wrong; a resource with two levels is told besides
            (field ``access``, code ``invalid``, the resource as detail).

    Raises Forbidden (``CONFER`` for a level that neither the actor nor already the user holds),
    NotFound or Invalid.
    """
    policy.allow(tx.actor, Action.SET_ACCESS, user_id)
    user = await users.get(tx, user_id)
    actor = await as_of_now(tx)
    policy.require(actor, Action.SET_ACCESS, user)
    levels = {each.resource: each.level for each in wanted}
    twice = {each.resource for each in wanted if levels[each.resource] != each.level}
    faults = [*problems, *(Problem("access", "invalid", resource) for resource in sorted(twice))]
    if faults:
        raise Invalid(*faults)
    had = await access.of(tx, user.id)
    now = [Access(resource, level) for resource, level in levels.items()]
    new = [each for each in now if each not in had]
    gone = [each.resource for each in had if each.resource not in levels]
    if not await can_give_access(tx, actor, new, greatest):
        raise Forbidden(Reason.CONFER)
    if not new and not gone:
        return
    await access.remove(tx, user.id, gone)
    await access.put(tx, user.id, new, granted_by=tx.actor.user_id)
    audit.write(
        tx, Action.SET_ACCESS, target_id=user.id, tenant_id=user.tenant_id, fields=("access",)
    )
