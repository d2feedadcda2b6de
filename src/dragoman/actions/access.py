"""Access to foreign resources: view it, replace it; nobody confers a level that it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.actions.conferring import as_of_now
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, Actor, User
from dragoman.rules.policy import PERMISSION_ROLE_HOLDS, Action
from dragoman.store import access, audit, users
from dragoman.store.engine import Read, Tx

FULL = "full"
"""The level that an accepted invitation gives: the greatest, which includes all others."""


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
    if not await _confers(tx, actor, new, greatest):
        raise Forbidden(Reason.CONFER)
    if not new and not gone:
        return
    await access.remove(tx, user.id, gone)
    await access.put(tx, user.id, new, granted_by=tx.actor.user_id)
    audit.write(
        tx, Action.SET_ACCESS, target_id=user.id, tenant_id=user.tenant_id, fields=("access",)
    )


async def hold_all(tx: Tx, resources: Iterable[str], greatest: str) -> None:
    """Pass if the actor can give the greatest level of each resource, else Forbidden(CONFER)."""
    if not await holds_all(tx, tx.actor, resources, greatest):
        raise Forbidden(Reason.CONFER)


async def holds_all(at: Read | Tx, actor: Actor, resources: Iterable[str], greatest: str) -> bool:
    """Say whether an actor, who need not be the one who asks, can give all these in full."""
    return await _confers(at, actor, [Access(name, greatest) for name in resources], greatest)


async def _confers(at: Read | Tx, actor: Actor, given: Sequence[Access], greatest: str) -> bool:
    """Say whether an actor holds what it is about to give."""
    if not given or actor.kind == "system":
        return True
    if actor.kind != "user":
        return False
    if actor.role <= PERMISSION_ROLE_HOLDS:
        return True
    own = {each.resource: each.level for each in await access.of(at, actor.user_id)}
    return all(own.get(each.resource) in {each.level, greatest} for each in given)
