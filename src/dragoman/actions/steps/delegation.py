"""What an actor may hand on or take away: permissions that exist, and that it holds itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.rules import policy
from dragoman.rules.actor import Actor
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Access, Permission
from dragoman.rules.policy import PERMISSION_ROLE_HOLDS
from dragoman.store import access, grants, permissions
from dragoman.store.transaction import Read, Tx


async def as_of_now(tx: Tx) -> Actor:
    """Return the actor with the permissions that it holds at this moment.

    They may have been taken from it while the transaction waited for the target's row.
    """
    actor = tx.actor
    if actor.kind != "user" or actor.role <= policy.PERMISSION_ROLE_HOLDS:
        return actor
    codenames = await grants.codenames_of(tx, actor.user_id)
    return msgspec.structs.replace(actor, permissions=codenames)


async def known(tx: Tx, ids: Sequence[int], problems: Iterable[Problem] = ()) -> list[Permission]:
    """Return the permissions of these ids; raises Invalid with what is wrong, all of it."""
    catalogue = {permission.id: permission for permission in await permissions.every(tx)}
    wanted = dict.fromkeys(ids)
    faults = list(problems)
    faults += [Problem("permissions", "unknown", n) for n in wanted if n not in catalogue]
    if faults:
        raise Invalid(*faults)
    return [catalogue[number] for number in wanted]


def must_hold(actor: Actor, wanted: Iterable[Permission]) -> None:
    """Raise Forbidden(CONFER) where the actor does not hold one of these itself."""
    if not all(policy.holds(actor, permission.codename) for permission in wanted):
        raise Forbidden(Reason.CONFER)


FULL = "full"
"""The level that an accepted invitation gives: the greatest, which includes all others."""


async def hold_all(tx: Tx, resources: Iterable[str], greatest: str) -> None:
    """Pass if the actor can give the greatest level of each resource, else Forbidden(CONFER)."""
    if not await holds_all(tx, tx.actor, resources, greatest):
        raise Forbidden(Reason.CONFER)


async def holds_all(at: Read | Tx, actor: Actor, resources: Iterable[str], greatest: str) -> bool:
    """Say whether an actor, who need not be the one who asks, can give all these in full."""
    return await can_give_access(
        at, actor, [Access(name, greatest) for name in resources], greatest
    )


async def can_give_access(
    at: Read | Tx, actor: Actor, given: Sequence[Access], greatest: str
) -> bool:
    """Say whether an actor holds what it is about to give."""
    if not given or actor.kind == "system":
        return True
    if actor.kind != "user":
        return False
    if actor.role <= PERMISSION_ROLE_HOLDS:
        return True
    own = {each.resource: each.level for each in await access.of(at, actor.user_id)}
    return all(own.get(each.resource) in {each.level, greatest} for each in given)
