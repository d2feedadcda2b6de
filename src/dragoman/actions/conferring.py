"""What an actor may hand on or take away: permissions that exist, and that it holds itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Invalid, Problem, Reason
from dragoman.rules.model import Actor, Permission
from dragoman.store import grants, permissions
from dragoman.store.engine import Tx


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
