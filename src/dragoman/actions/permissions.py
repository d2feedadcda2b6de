"""Permissions of users: view, grant, revoke. They hold from the next request on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from dragoman.actions.steps.delegation import as_of_now, known, must_hold
from dragoman.rules import policy
from dragoman.rules.errors import NotFound, Problem
from dragoman.rules.model import Held, Permission, User
from dragoman.rules.vocabulary import Action
from dragoman.store import audit, grants, users
from dragoman.store.transaction import Read, Tx

NOTHING = Held()


async def view(read: Read, user_id: int) -> list[Permission]:
    """Return what a user was granted itself, by id: not what a role or a group brings.

    Raises Forbidden or NotFound.
    """
    policy.allow(read.actor, Action.VIEW_PERMISSIONS, user_id)
    user = await users.find(read, user_id)
    if user is None:
        raise NotFound
    policy.require(read.actor, Action.VIEW_PERMISSIONS, user)
    return await grants.direct(read, user.id)


async def held(read: Read, people: Sequence[User]) -> dict[int, Held]:
    """Return the groups and grants of users, by the user's id, a page of them at most.

    Where the actor may not see a user's permissions, there are none.
    """
    reach = policy.cell(read.actor, Action.VIEW_PERMISSIONS)
    seen = [user.id for user in people if policy.covers(read.actor, reach, user)]
    return dict.fromkeys((user.id for user in people), NOTHING) | await grants.held_of(read, seen)


async def grant(
    tx: Tx, user_id: int, ids: Sequence[int], *, problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Grant permissions to a user, besides those it has; returns all it was granted.

    ``problems`` is what the dialect found wrong with the request. Raises Forbidden, NotFound,
    Invalid (``unknown`` for each id that is none), and Forbidden(CONFER) for what the actor does
    not hold itself, judged in this order; then nothing is changed.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change(tx, user_id, ids, problems, grants.add)


async def revoke(
    tx: Tx, user_id: int, ids: Sequence[int], *, problems: Iterable[Problem] = ()
) -> list[Permission]:
    """Take granted permissions back from a user; returns what it has left.

    Raises as ``grant`` does: nobody takes away what it does not hold itself.
    """
    policy.allow(tx.actor, Action.ASSIGN_PERMISSION)
    return await _change(tx, user_id, ids, problems, grants.remove)


async def _change(
    tx: Tx,
    user_id: int,
    ids: Sequence[int],
    problems: Iterable[Problem],
    change: Callable[[Tx, int, list[int]], Awaitable[int]],
) -> list[Permission]:
    user = await users.get(tx, user_id)
    actor = await as_of_now(tx)
    policy.require(actor, Action.ASSIGN_PERMISSION, user)
    wanted = await known(tx, ids, problems)
    must_hold(actor, wanted)
    if await change(tx, user.id, [permission.id for permission in wanted]):
        audit.write(
            tx,
            Action.ASSIGN_PERMISSION,
            target_id=user.id,
            tenant_id=user.tenant_id,
            fields=("permissions",),
        )
    return await grants.direct(tx, user.id)
