"""Users at the accounts contract: list, retrieve, update, delete."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from dragoman.actions import permissions, sign_in, user_lists, users
from dragoman.dialects.accounts import schemas
from dragoman.dialects.accounts.errors import answer
from dragoman.rules.errors import Forbidden, NotFound, Problem
from dragoman.rules.fields import trim
from dragoman.rules.model import Filter, Order, Page, User, UserChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call, number_of

USUAL, MOST = 50, 100
"""Users on a page, unless ``limit`` says otherwise, and at most."""
FARTHEST = 10**12
"""Beyond every list; an offset is cut to it."""


def id_of(call: Call) -> int:
    """Return the id in the path; raises NotFound where it is none.

    A number that nobody can have is -1: whoever is refused for every id is refused for it too.
    """
    text = call.params["id"]
    return number_of(text) or (-1 if text.isascii() and text.isdigit() else call.number("id"))


async def listing(call: Call) -> Response:
    """GET /api/users: one page, by id."""
    query = pagination.query_of(call)
    limit = min(_amount(query, "limit") or USUAL, MOST)
    offset = _amount(query, "offset")
    query["limit"] = str(limit)  # as the framework's links do, also where it was left out
    read = call.read()
    found = await user_lists.page(
        read,
        Filter(),
        (Order("id"),),
        limit=limit,
        offset=offset,
        after=pagination.position(call, query, offset) if offset else None,
    )
    held = await permissions.held(read, found.rows)
    body = _envelope(call, query, limit, offset, found)
    body["results"] = [schemas.user_out(user, held[user.id]) for user in found.rows]
    return answer(200, body)


def _amount(query: dict[str, str], name: str) -> int:
    """Return the number that a parameter is, FARTHEST at most; 0 where it is none."""
    text = query.get(name, "").strip()
    if not (text.isascii() and text.isdigit()):
        return 0
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) < len(str(FARTHEST)) else FARTHEST


def _envelope(
    call: Call, query: dict[str, str], limit: int, offset: int, found: Page[User]
) -> dict[str, Any]:
    later = earlier = None
    following = offset + limit
    if following < found.count:
        deep = following >= pagination.DEEP and found.after is not None
        position = (
            pagination.sign(call, query, following, found.after) if deep and found.after else None
        )
        later = pagination.link(call, query, offset=str(following), after=position)
    if offset > 0:
        before = str(offset - limit) if offset > limit else None
        earlier = pagination.link(call, query, offset=before, after=None)
    return {"count": found.count, "next": later, "previous": earlier}


async def retrieve(call: Call) -> Response:
    """GET /api/users/{id}."""
    return await _shown(call, await user_lists.view(call.read(), call.number("id")))


async def _shown(call: Call, user: User) -> Response:
    held = await permissions.held(call.read(), [user])
    return answer(200, schemas.user_out(user, held[user.id]))


async def put(call: Call) -> Response:
    """PUT /api/users/{id}: partial; a password among the fields goes with them, all or nothing."""
    user_id = id_of(call)
    body = await bodies.fields(call.request)
    values, problems = forms.read(body, schemas.UPDATE, partial=True)
    problems = await _but_for_what_stays(call, user_id, body, problems)
    if "password" in body:
        return await _shown(call, await _with_password(call, user_id, body, values, problems))
    async with call.begin() as tx:
        user = await users.update(tx, user_id, UserChanges(**values), problems=problems)
    return await _shown(call, user)


async def _but_for_what_stays(
    call: Call, user_id: int, body: dict[str, Any], problems: list[Problem]
) -> list[Problem]:
    """Leave out that a text is too long which the user has already, from another contract.

    It is absent from the form's values, so it stays.
    """
    long = {problem.field for problem in problems if problem.code == "too_long"}
    if not long:
        return problems
    try:
        user = await user_lists.view(call.read(), user_id)
    except (Forbidden, NotFound):  # whoever may not see the user is told so by the action
        return problems
    same = {field for field in long if trim(str(body[field])) == getattr(user, field)}
    return [problem for problem in problems if problem.field not in same]


async def _with_password(
    call: Call, user_id: int, body: dict[str, Any], values: dict[str, Any], problems: list[Problem]
) -> User:
    """Change the own password, which takes the current one, or set another's; and the rest."""
    own = call.actor.is_user(user_id)
    given, more = forms.read(body, schemas.CHANGE_PASSWORD if own else schemas.SET_PASSWORD)
    new, current = given.get("password", ""), given.get("current", "")
    faults = problems + more
    changes = UserChanges(**values)
    also = partial(users.update, user_id=user_id, changes=changes) if values else None
    at, actor, floor = call.directory, call.actor, schemas.FLOOR
    if own:
        await sign_in.change_password(at, actor, current, new, floor, problems=faults, also=also)
    else:
        await users.set_password(at, actor, user_id, new, floor, problems=faults, also=also)
    # Not call.read(): it knows the user as it was before.
    return await user_lists.view(at.read(actor), user_id)


async def delete(call: Call) -> Response:
    """DELETE /api/users/{id}: erases for ever."""
    async with call.begin() as tx:
        await users.delete(tx, id_of(call), erase=True)
    return Response(None, 204)
