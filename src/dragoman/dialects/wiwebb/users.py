"""WiWebb's users: list, create, retrieve, update, delete, assign roles, set passwords, activate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.responses import Response

from dragoman.actions import user_lists, users
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import handle_assign_role_error, handle_filter_error
from dragoman.dialects.wiwebb.schemas import ROLES_BY_NAME, pick, user_out
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import search_words
from dragoman.rules.model import Filter, Order, Page, Role, User, UserChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call, parse_positive_int
from dragoman.web.responses import MsgspecResponse

Row = TypeVar("Row")


async def list_users(call: Call) -> Response:
    """GET /users/: return a page of users."""
    call.handle_error = handle_filter_error
    query = pagination.query_params(call)
    user_filter, problems = _parse_filter(query)
    ordering = _parse_ordering(query.get("ordering", ""))
    size = page_size(query)

    async def fetch_page(number: int) -> Page[User]:
        after = pagination.read_cursor(call, query, number) if number > 1 else None
        offset = (number - 1) * size
        read = call.read()
        return await user_lists.list_page(
            call.directory,
            read,
            user_filter,
            ordering,
            limit=size,
            offset=offset,
            after=after,
            problems=problems,
        )

    number, page = await get_requested_page(query, size, fetch_page)
    body = envelope(call, query, number, size, page.count, page.after)
    body["results"] = [user_out(user) for user in page.rows]
    return MsgspecResponse(200, body)


def page_size(query: dict[str, str]) -> int:
    """Return the number of rows per page: 10 by default, at most 100."""
    return min(parse_positive_int(query.get("page_size", "")) or 10, 100)


async def get_requested_page(
    query: dict[str, str], size: int, fetch_page: Callable[[int], Awaitable[Page[Row]]]
) -> tuple[int, Page[Row]]:
    """Return the number of the requested page, and the page. Raises NoSuchPage.

    ``fetch_page`` returns the page with a number, from 1; ``size`` is the number of rows per page.
    """
    requested = query.get("page", "") or "1"
    is_last = requested == "last"
    number = 1 if is_last else parse_positive_int(requested.strip())
    if not 0 < number < 2**40:
        raise pagination.NoSuchPage
    page = await fetch_page(number)
    if is_last and page.count > size:
        number = -(-page.count // size)
        page = await fetch_page(number)
    if number > 1 and (number - 1) * size >= page.count:
        raise pagination.NoSuchPage
    return number, page


def envelope(
    call: Call,
    query: dict[str, str],
    number: int,
    size: int,
    count: int,
    after: tuple[Any, int] | None = None,
) -> dict[str, Any]:
    """Return the count and the links of a page; the link to page 1 has no number.

    Args:
        call: the request.
        query: its query parameters.
        number: the page's number, from 1.
        size: the number of rows per page.
        count: the number of rows on all pages.
        after: the position of the page's last row, for signed links to deep pages.
    """
    next_link = previous_link = None
    if number * size < count:
        is_deep = number * size >= pagination.CURSOR_THRESHOLD and after is not None
        position = (
            pagination.sign_cursor(call, query, number + 1, after) if is_deep and after else None
        )
        next_link = pagination.page_url(call, query, page=str(number + 1), after=position)
    if number > 1:
        previous_page = str(number - 1) if number > 2 else None
        previous_link = pagination.page_url(call, query, page=previous_page, after=None)
    return {"count": count, "next": next_link, "previous": previous_link}


def _parse_filter(query: dict[str, str]) -> tuple[Filter, list[Problem]]:
    problems: list[Problem] = []
    roles = tenant_id = active = None
    if role := query.get("role", "").strip():
        roles = schemas.ROLES_SHOWN_AS.get(role)
        if roles is None:
            problems.append(Problem("role", "choice", role))
    if tenant := query.get("tenant", "").strip():
        tenant_id = parse_positive_int(tenant)
        if not tenant_id:
            problems.append(Problem("tenant", "unknown", tenant))
    if is_active := query.get("is_active", "").strip():
        active = forms.parse_boolean(is_active)
        if active is None:
            problems.append(Problem("active", "not_boolean"))
    words = search_words(query.get("search", ""))
    return Filter(roles=roles, tenant_id=tenant_id, active=active, words=words), problems


def _parse_ordering(text: str) -> tuple[Order, ...]:
    ordering: dict[str, Order] = {}
    for term in text.split(","):
        name = term.strip()
        key = schemas.ORDERING_FIELDS.get(name.removeprefix("-"))
        if key is not None and key not in ordering:
            sort_keys = schemas.ROLE_SORT_KEYS if key == "role" else ()
            ordering[key] = Order(key, name.startswith("-"), sort_keys)
    return tuple(ordering.values()) or (Order("username"),)


async def create(call: Call) -> Response:
    """POST /users/: create a user."""
    body = await bodies.read_fields(call.request)
    values, problems = forms.parse(body, schemas.CREATE)
    password = values.pop("password", "")
    role_name = values.pop("role", None)
    if role_name is not None and role_name not in ROLES_BY_NAME:
        problems.append(Problem("role", "choice", role_name))
    role = ROLES_BY_NAME.get(role_name or "", Role.MEMBER)
    new = schemas.new_user(values, role)
    user = await users.create(
        call.directory, call.actor, new, password, schemas.PASSWORD_RULES, problems=problems
    )
    return MsgspecResponse(201, user_out(user))


async def retrieve(call: Call) -> Response:
    """GET /users/{id}/: return a user."""
    return MsgspecResponse(200, user_out(await user_lists.get(call.read(), call.id_param("id"))))


async def put(call: Call) -> Response:
    """PUT /users/{id}/: update a profile; the e-mail address is required, other fields are not."""
    return await _update(call, partial=False)


async def patch(call: Call) -> Response:
    """PATCH /users/{id}/: update fields of a profile."""
    return await _update(call, partial=True)


async def _update(call: Call, *, partial: bool) -> Response:
    return MsgspecResponse(
        200, user_out(await update_profile(call, call.id_param("id"), partial=partial))
    )


async def update_profile(call: Call, user_id: int, *, partial: bool) -> User:
    """Update a user's profile from the body; read-only fields are ignored."""
    body = await bodies.read_fields(call.request)
    values, problems = forms.parse(body, schemas.UPDATE, partial=partial)
    texts = forms.texts(body, schemas.UPDATE)
    problems = await user_lists.without_unchanged(call.read(), user_id, texts, problems)
    async with call.begin() as tx:
        return await users.update(tx, user_id, UserChanges(**values), problems=problems)


async def delete(call: Call) -> Response:
    """DELETE /users/{id}/: erase the user permanently."""
    async with call.begin() as tx:
        await users.delete(tx, call.id_param("id"), erase=True)
    return Response(None, 204)


async def assign_role(call: Call) -> Response:
    """POST /users/{id}/assign-role/: change a user's role."""
    call.handle_error = handle_assign_role_error
    body = await bodies.read_fields(call.request)
    role_name = body.get("role")
    if not isinstance(role_name, str) or role_name not in ROLES_BY_NAME:
        raise Invalid(Problem("role", "choice", role_name))
    async with call.begin() as tx:
        user_id = parse_positive_int(call.path_params["id"])
        user = await users.assign_role(
            tx, user_id, ROLES_BY_NAME[role_name], same_role_names=schemas.ROLES_SHOWN_AS[role_name]
        )
    user_fields = pick(user, "id", "username", "email", "role", "tenant", "tenant_name")
    return MsgspecResponse(200, {"message": "Role updated successfully", "user": user_fields})


async def set_password(call: Call) -> Response:
    """POST /users/{id}/set-password/: set ``password``, or the pair ``new_password1`` and ``2``."""
    body = await bodies.read_fields(call.request)
    is_pair = "password" not in body and ("new_password1" in body or "new_password2" in body)
    call.field_names = schemas.PASSWORD_PAIR_NAMES if is_pair else {}
    if is_pair:
        _, password, problems = schemas.parse_matching_passwords(body, schemas.SET_PASSWORD_TWICE)
    else:
        values, problems = forms.parse(body, schemas.SET_PASSWORD)
        password = values.get("password", "")
    await users.set_password(
        call.directory,
        call.actor,
        parse_positive_int(call.path_params["id"]),
        password,
        schemas.PASSWORD_RULES,
        problems=problems,
    )
    return MsgspecResponse(200, {"message": "Password updated successfully"})


async def activate(call: Call) -> Response:
    """POST /users/{id}/activate/: activate or deactivate a user."""
    body = await bodies.read_fields(call.request)
    values, problems = forms.parse(body, schemas.ACTIVATE)
    async with call.begin() as tx:
        user = await users.set_active(
            tx,
            parse_positive_int(call.path_params["id"]),
            active=values.get("active", False),
            problems=problems,
        )
    state = "activated" if user.active else "deactivated"
    user_fields = pick(user, "id", "username", "is_active")
    return MsgspecResponse(200, {"message": f"User {state} successfully", "user": user_fields})
