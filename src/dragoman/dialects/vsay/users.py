"""VSAY Terminal's users: list, look at, update, set access, remove."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import access, user_lists, users
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.errors import done
from dragoman.dialects.vsay.paging import Slice
from dragoman.rules import policy
from dragoman.rules.errors import Problem
from dragoman.rules.fields import words_of
from dragoman.rules.model import Filter, Order, User
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies, pagination
from dragoman.web.calls import Call

NEWEST_FIRST = (Order("id", descending=True),)


async def listing(call: Call) -> Response:
    """GET /users: newest first."""
    query = pagination.query_of(call)
    part = Slice(query)
    roles = None
    if word := query.get("role", ""):
        roles = schemas.READ_AS.get(word)
        if roles is None:
            part.problems.append(Problem("role", "choice", tuple(schemas.ROLES)))
    wanted = Filter(roles=roles, words=words_of(query.get("search", "")))
    found = await user_lists.page(
        call.read(),
        wanted,
        NEWEST_FIRST,
        limit=part.limit,
        offset=part.offset,
        problems=part.problems,
    )
    shown = [schemas.listed(user, whole=_is_seen_whole(call, user)) for user in found.rows]
    return done(200, {"users": shown, "pagination": part.told(found.count)})


def _is_seen_whole(call: Call, user: User) -> bool:
    """Say whether the caller sees what not everybody sees of a user."""
    return policy.covers(call.actor, policy.cell(call.actor, Action.VIEW_ACCESS), user)


async def retrieve(call: Call) -> Response:
    """GET /users/{id}."""
    read = call.read()
    user = await user_lists.find(read, public_id=_id(call))
    seen = await access.view(read, user) if _is_seen_whole(call, user) else None
    return done(200, schemas.detailed(user, seen))


def _id(call: Call) -> str:
    return schemas.public_id(call.params["id"], schemas.USER)


async def update(call: Call) -> Response:
    """PUT /users/{id}: name and role, all or nothing."""
    policy.allow(call.actor, Action.UPDATE_USER)
    values, problems = schemas.read(await bodies.fields(call.request), schemas.UPDATE)
    word = values.get("role", "")
    role = schemas.role_of(values, problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_id(call))
        changes = schemas.changes(user, values, problems)
        alike = schemas.READ_AS.get(word, frozenset())
        user = await users.amend(
            tx, user.id, changes=changes, role=role, alike=alike, problems=problems
        )
    return done(200, schemas.updated(user), "User updated successfully")


async def set_access(call: Call) -> Response:
    """PUT /users/{id}/permissions: the whole list anew."""
    policy.allow(call.actor, Action.SET_ACCESS)
    problems: list[Problem] = []
    wanted = schemas.machine_access(await bodies.fields(call.request), problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_id(call))
        greatest = schemas.GREATEST
        await access.replace(tx, user.id, wanted, greatest=greatest, problems=problems)
    return done(200, message="Permissions updated successfully")


async def remove(call: Call) -> Response:
    """DELETE /users/{id}: leaves the directory; its row is kept."""
    policy.allow(call.actor, Action.DELETE_USER)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_id(call))
        await users.delete(tx, user.id, erase=False)
    return done(200, message="User removed successfully")
