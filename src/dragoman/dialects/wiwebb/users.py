"""WiWebb's users: the eight documented endpoints."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.actions import user_lists, users
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import answer, assigning, filters
from dragoman.dialects.wiwebb.schemas import ROLES, part_of, user_out
from dragoman.rules.errors import Invalid, Problem
from dragoman.rules.fields import words_of
from dragoman.rules.model import Filter, Order, Page, Role, User, UserChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call, number_of


async def listing(call: Call) -> Response:
    """GET /users/: one page."""
    call.voice = filters
    query = pagination.query_of(call)
    wanted, problems = _filter(query)
    orders = _orders(query.get("ordering", ""))
    size = page_size(query)

    async def page(number: int) -> Page[User]:
        after = pagination.position(call, query, number) if number > 1 else None
        offset = (number - 1) * size
        read = call.read()
        return await user_lists.page(
            read, wanted, orders, limit=size, offset=offset, after=after, problems=problems
        )

    number, found = await turn_to(query, size, page)
    body = envelope(call, query, number, size, found.count, found.after)
    body["results"] = [user_out(user) for user in found.rows]
    return answer(200, body)


def page_size(query: dict[str, str]) -> int:
    """Return how many rows a page has: 10, or what is asked for up to 100."""
    return min(number_of(query.get("page_size", "")) or 10, 100)


async def turn_to(query: dict[str, str], size: int, page: Any) -> tuple[int, Page[Any]]:
    """Return the page that is asked for and its number; raises NoSuchPage."""
    asked = query.get("page", "") or "1"
    last = asked == "last"
    number = 1 if last else number_of(asked.strip())
    if not 0 < number < 2**40:
        raise pagination.NoSuchPage
    found = await page(number)
    if last and found.count > size:
        number = -(-found.count // size)
        found = await page(number)
    if number > 1 and (number - 1) * size >= found.count:
        raise pagination.NoSuchPage
    return number, found


def envelope(
    call: Call,
    query: dict[str, str],
    number: int,
    size: int,
    count: int,
    after: tuple[Any, int] | None = None,
) -> dict[str, Any]:
    """Return the count and the links of a page; the link to page 1 has no number."""
    later = earlier = None
    if number * size < count:
        deep = number * size >= pagination.DEEP and after is not None
        position = pagination.sign(call, query, number + 1, after) if deep and after else None
        later = pagination.link(call, query, page=str(number + 1), after=position)
    if number > 1:
        page = str(number - 1) if number > 2 else None
        earlier = pagination.link(call, query, page=page, after=None)
    return {"count": count, "next": later, "previous": earlier}


def _filter(query: dict[str, str]) -> tuple[Filter, list[Problem]]:
    problems: list[Problem] = []
    roles = tenant_id = active = None
    if role := query.get("role", "").strip():
        roles = schemas.READ_AS.get(role)
        if roles is None:
            problems.append(Problem("role", "choice", role))
    if tenant := query.get("tenant", "").strip():
        tenant_id = number_of(tenant)
        if not tenant_id:
            problems.append(Problem("tenant", "unknown", tenant))
    if switch := query.get("is_active", "").strip():
        active = forms.boolean(switch)
        if active is None:
            problems.append(Problem("active", "not_boolean"))
    words = words_of(query.get("search", ""))
    return Filter(roles=roles, tenant_id=tenant_id, active=active, words=words), problems


def _orders(text: str) -> tuple[Order, ...]:
    orders: dict[str, Order] = {}
    for term in text.split(","):
        name = term.strip()
        key = schemas.ORDERS.get(name.removeprefix("-"))
        if key is not None and key not in orders:
            ranks = schemas.RANKS if key == "role" else ()
            orders[key] = Order(key, name.startswith("-"), ranks)
    return tuple(orders.values()) or (Order("username"),)


async def create(call: Call) -> Response:
    """POST /users/."""
    body = await bodies.fields(call.request)
    values, problems = forms.read(body, schemas.CREATE)
    password = values.pop("password", "")
    word = values.pop("role", None)
    if word is not None and word not in ROLES:
        problems.append(Problem("role", "choice", word))
    role = ROLES.get(word or "", Role.MEMBER)
    new = schemas.new_user(values, role)
    user = await users.create(
        call.directory, call.actor, new, password, schemas.FLOOR, problems=problems
    )
    return answer(201, user_out(user))


async def retrieve(call: Call) -> Response:
    """GET /users/{id}/."""
    return answer(200, user_out(await user_lists.view(call.read(), call.number("id"))))


async def put(call: Call) -> Response:
    """PUT /users/{id}/: the e-mail is required, what is left out stays."""
    return await _update(call, partial=False)


async def patch(call: Call) -> Response:
    """PATCH /users/{id}/."""
    return await _update(call, partial=True)


async def _update(call: Call, *, partial: bool) -> Response:
    return answer(200, user_out(await change(call, call.number("id"), partial=partial)))


async def change(call: Call, user_id: int, *, partial: bool) -> User:
    """Change a user's profile by the body; read-only fields in it are passed over."""
    body = await bodies.fields(call.request)
    values, problems = forms.read(body, schemas.UPDATE, partial=partial)
    async with call.begin() as tx:
        return await users.update(tx, user_id, UserChanges(**values), problems=problems)


async def delete(call: Call) -> Response:
    """DELETE /users/{id}/: erases for ever."""
    async with call.begin() as tx:
        await users.delete(tx, call.number("id"), erase=True)
    return Response(None, 204)


async def assign_role(call: Call) -> Response:
    """POST /users/{id}/assign-role/."""
    call.voice = assigning
    body = await bodies.fields(call.request)
    word = body.get("role")
    if not isinstance(word, str) or word not in ROLES:
        raise Invalid(Problem("role", "choice", word))
    async with call.begin() as tx:
        user_id = number_of(call.params["id"])
        user = await users.assign_role(tx, user_id, ROLES[word], alike=schemas.READ_AS[word])
    shown = part_of(user, "id", "username", "email", "role", "tenant", "tenant_name")
    return answer(200, {"message": "Role updated successfully", "user": shown})


async def set_password(call: Call) -> Response:
    """POST /users/{id}/set-password/: ``password``, or the older pair."""
    body = await bodies.fields(call.request)
    twice = "password" not in body and ("new_password1" in body or "new_password2" in body)
    form = schemas.SET_PASSWORD_TWICE if twice else schemas.SET_PASSWORD
    call.names = schemas.PAIR if twice else {}
    values, problems = forms.read(body, form)
    password = schemas.both(values, problems) if twice else values.get("password", "")
    await users.set_password(
        call.directory,
        call.actor,
        number_of(call.params["id"]),
        password,
        schemas.FLOOR,
        problems=problems,
    )
    return answer(200, {"message": "Password updated successfully"})


async def activate(call: Call) -> Response:
    """POST /users/{id}/activate/."""
    body = await bodies.fields(call.request)
    values, problems = forms.read(body, schemas.ACTIVATE)
    async with call.begin() as tx:
        user = await users.set_active(
            tx, number_of(call.params["id"]), active=values.get("active", False), problems=problems
        )
    done = "activated" if user.active else "deactivated"
    shown = part_of(user, "id", "username", "is_active")
    return answer(200, {"message": f"User {done} successfully", "user": shown})
