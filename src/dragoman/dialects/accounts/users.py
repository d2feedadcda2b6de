"""Users of the accounts contract: list, retrieve, update, delete."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.actions import permissions, sign_in, user_lists, users
from dragoman.dialects.accounts import schemas
from dragoman.rules.errors import Problem
from dragoman.rules.model import Filter, Order, Page, User, UserChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call, parse_positive_int
from dragoman.web.responses import MsgspecResponse

DEFAULT_LIMIT, MAX_LIMIT = 50, 100
"""Users per page: without ``limit``, and the maximum."""
MAX_OFFSET = 10**12
"""Larger offsets are reduced to this one, which is past the end of every list."""


def user_id_from_path(call: Call) -> int:
    """Return the user id in the path. Raises NotFound if it is not a number.

    A number out of range becomes -1, so that the policy treats it like any other unknown id.
    """
    text = call.path_params["id"]
    return parse_positive_int(text) or (
        -1 if text.isascii() and text.isdigit() else call.id_param("id")
    )


async def list_users(call: Call) -> Response:
    """GET /api/users: return a page of users, ordered by id."""
    query = pagination.query_params(call)
    limit = min(_query_number(query, "limit") or DEFAULT_LIMIT, MAX_LIMIT)
    offset = _query_number(query, "offset")
    query["limit"] = str(limit)  # DRF's links contain it even if the request did not
    read = call.read()
    page = await user_lists.list_page(
        call.directory,
        read,
        Filter(),
        (Order("id"),),
        limit=limit,
        offset=offset,
        after=pagination.read_cursor(call, query, offset) if offset else None,
    )
    grants_by_user = await permissions.grants_by_user(read, page.rows)
    body = _envelope(call, query, limit, offset, page)
    body["results"] = [schemas.user_out(user, grants_by_user[user.id]) for user in page.rows]
    return MsgspecResponse(200, body)


def _query_number(query: dict[str, str], name: str) -> int:
    """Return a parameter's value, at most MAX_OFFSET; 0 if it is not a number."""
    text = query.get(name, "").strip()
    if not (text.isascii() and text.isdigit()):
        return 0
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) < len(str(MAX_OFFSET)) else MAX_OFFSET


def _envelope(
    call: Call, query: dict[str, str], limit: int, offset: int, page: Page[User]
) -> dict[str, Any]:
    next_link = previous_link = None
    next_offset = offset + limit
    if next_offset < page.count:
        is_deep = next_offset >= pagination.CURSOR_THRESHOLD and page.after is not None
        position = (
            pagination.sign_cursor(call, query, next_offset, page.after)
            if is_deep and page.after
            else None
        )
        next_link = pagination.page_url(call, query, offset=str(next_offset), after=position)
    if offset > 0:
        previous_offset = str(offset - limit) if offset > limit else None
        previous_link = pagination.page_url(call, query, offset=previous_offset, after=None)
    return {"count": page.count, "next": next_link, "previous": previous_link}


async def retrieve(call: Call) -> Response:
    """GET /api/users/{id}: return a user."""
    return await _user_response(call, await user_lists.get(call.read(), call.id_param("id")))


async def _user_response(call: Call, user: User) -> Response:
    grants_by_user = await permissions.grants_by_user(call.read(), [user])
    return MsgspecResponse(200, schemas.user_out(user, grants_by_user[user.id]))


async def put(call: Call) -> Response:
    """PUT /api/users/{id}: change the given fields and the password, in one transaction."""
    user_id = user_id_from_path(call)
    body = await bodies.read_fields(call.request)
    values, problems = forms.parse(body, schemas.UPDATE, partial=True)
    texts = forms.texts(body, schemas.UPDATE)
    problems = await user_lists.without_unchanged(call.read(), user_id, texts, problems)
    if "password" in body:
        return await _user_response(
            call, await _update_with_password(call, user_id, body, values, problems)
        )
    async with call.begin() as tx:
        user = await users.update(tx, user_id, UserChanges(**values), problems=problems)
    return await _user_response(call, user)


async def _update_with_password(
    call: Call, user_id: int, body: dict[str, Any], values: dict[str, Any], problems: list[Problem]
) -> User:
    """Change the password (the caller's own requires the current one) and the other fields."""
    is_self = call.actor.is_user(user_id)
    password_values, password_problems = forms.parse(
        body, schemas.CHANGE_PASSWORD if is_self else schemas.SET_PASSWORD
    )
    new_password, current_password = (
        password_values.get("password", ""),
        password_values.get("current", ""),
    )
    all_problems = problems + password_problems
    changes = UserChanges(**values) if values else None
    directory, actor, rules = call.directory, call.actor, schemas.PASSWORD_RULES
    if is_self:
        await sign_in.change_password(
            directory,
            actor,
            current_password,
            new_password,
            rules,
            problems=all_problems,
            changes=changes,
        )
    else:
        await users.set_password(
            directory,
            actor,
            user_id,
            new_password,
            rules,
            problems=all_problems,
            changes=changes,
        )
    # Not call.read(), which would return the user as it was before the change.
    return await user_lists.get(directory.read(actor), user_id)


async def delete(call: Call) -> Response:
    """DELETE /api/users/{id}: erase the user permanently."""
    async with call.begin() as tx:
        await users.delete(tx, user_id_from_path(call), erase=True)
    return Response(None, 204)
