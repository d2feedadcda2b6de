"""VSAY Terminal's users: list, retrieve, update, set access, delete."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import access, user_lists, users
from dragoman.dialects.vsay import schemas
from dragoman.dialects.vsay.errors import success_response
from dragoman.dialects.vsay.pagination import PageQuery
from dragoman.rules import policy
from dragoman.rules.errors import Problem
from dragoman.rules.fields import search_words
from dragoman.rules.model import Filter, Order, Role, User
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies, pagination
from dragoman.web.calls import Call

NEWEST_FIRST = (Order("id", descending=True),)


async def list_users(call: Call) -> Response:
    """GET /users: list users, newest first."""
    query = pagination.query_params(call)
    page_query = PageQuery(query)
    roles = None
    if role_name := query.get("role", ""):
        roles = schemas.ROLES_SHOWN_AS.get(role_name)
        if roles is None:
            page_query.problems.append(Problem("role", "choice", tuple(schemas.ROLES_BY_NAME)))
    user_filter = Filter(roles=roles, words=search_words(query.get("search", "")))
    page = await user_lists.list_page(
        call.directory,
        call.read(),
        user_filter,
        NEWEST_FIRST,
        limit=page_query.limit,
        offset=page_query.offset,
        problems=page_query.problems,
    )
    items = [
        schemas.user_list_item_out(user, with_last_login=_can_view_access(call, user))
        for user in page.rows
    ]
    return success_response(200, {"users": items, "pagination": page_query.to_dict(page.count)})


def _can_view_access(call: Call, user: User) -> bool:
    """Return whether the caller may see a user's access and last sign-in."""
    return policy.includes(call.actor, policy.granted_reach(call.actor, Action.VIEW_ACCESS), user)


async def retrieve(call: Call) -> Response:
    """GET /users/{id}: return a user."""
    read = call.read()
    user = await user_lists.find(read, public_id=_public_id(call))
    machine_access = (
        await access.list_for_user(read, user) if _can_view_access(call, user) else None
    )
    return success_response(200, schemas.user_detail_out(user, machine_access))


def _public_id(call: Call) -> str:
    return schemas.public_id(call.path_params["id"], schemas.USER_ID_PREFIX)


async def update(call: Call) -> Response:
    """PUT /users/{id}: change the name, the role or both; other shown values change nothing."""
    policy.require_reach(call.actor, Action.UPDATE_USER)
    body = await bodies.read_fields(call.request)
    values, problems = schemas.parse_form(body, schemas.UPDATE)
    role: Role | None = values.get("role")
    same_role_names = schemas.ROLES_SHOWN_AS[schemas.ROLE_NAMES[role]] if role is not None else ()
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_public_id(call))
        changes, name_problems = schemas.display_name_changes(user, values)
        fixed_problems = schemas.fixed_field_problems(user, body)
        user = await users.update_with_role(
            tx,
            user.id,
            changes=changes,
            role=role,
            same_role_names=frozenset(same_role_names),
            problems=problems + name_problems + fixed_problems,
        )
    return success_response(200, schemas.updated_user_out(user), "User updated successfully")


async def set_access(call: Call) -> Response:
    """PUT /users/{id}/permissions: replace the user's access to machines."""
    policy.require_reach(call.actor, Action.SET_ACCESS)
    body = await bodies.read_fields(call.request)
    machine_access, problems = schemas.parse_machine_access(body)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_public_id(call))
        full_level = schemas.FULL_LEVEL
        await access.replace(tx, user.id, machine_access, full_level=full_level, problems=problems)
    return success_response(200, message="Permissions updated successfully")


async def delete(call: Call) -> Response:
    """DELETE /users/{id}: remove the user; its row is kept."""
    policy.require_reach(call.actor, Action.DELETE_USER)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=_public_id(call))
        await users.delete(tx, user.id, erase=False)
    return success_response(200, message="User removed successfully")
