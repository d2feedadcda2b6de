"""WiWebb's tenants: the companion endpoints that its sample code calls."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.actions import tenants
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import answer, filters
from dragoman.dialects.wiwebb.schemas import tenant_out
from dragoman.dialects.wiwebb.users import envelope, page_size, turn_to
from dragoman.rules.errors import Problem
from dragoman.rules.fields import words_of
from dragoman.rules.model import Page, TenantChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call


async def listing(call: Call) -> Response:
    """GET /tenants/: one page."""
    call.voice = filters
    query = pagination.query_of(call)
    size = page_size(query)
    problems: list[Problem] = []
    active = None
    if switch := query.get("is_active", "").strip():
        active = forms.boolean(switch)
        if active is None:
            problems.append(Problem("active", "not_boolean"))

    async def page(number: int) -> Page[tenants.Counted]:
        return await tenants.page(
            call.read(),
            words=words_of(query.get("search", "")),
            active=active,
            order=_order(query.get("ordering", "")),
            limit=size,
            offset=(number - 1) * size,
            problems=problems,
        )

    number, found = await turn_to(query, size, page)
    body: dict[str, Any] = envelope(call, query, number, size, found.count)
    body["results"] = [tenant_out(counted) for counted in found.rows]
    return answer(200, body)


def _order(text: str) -> tuple[str, bool]:
    for term in text.split(","):
        name = term.strip()
        key = schemas.TENANT_ORDERS.get(name.removeprefix("-"))
        if key is not None:
            return key, name.startswith("-")
    return "name", False


async def create(call: Call) -> Response:
    """POST /tenants/."""
    values, problems = forms.read(await bodies.fields(call.request), schemas.TENANT)
    async with call.begin() as tx:
        made = await tenants.create(tx, TenantChanges(**values), problems=problems)
    return answer(201, tenant_out(made))


async def retrieve(call: Call) -> Response:
    """GET /tenants/{id}/."""
    return answer(200, tenant_out(await tenants.view(call.read(), _id(call))))


async def own(call: Call) -> Response:
    """GET /tenants/me/."""
    return answer(200, tenant_out(await tenants.view_own(call.read())))


async def put(call: Call) -> Response:
    """PUT /tenants/{id}/."""
    return await _update(call, partial=False)


async def patch(call: Call) -> Response:
    """PATCH /tenants/{id}/."""
    return await _update(call, partial=True)


async def _update(call: Call, *, partial: bool) -> Response:
    body = await bodies.fields(call.request)
    values, problems = forms.read(body, schemas.TENANT, partial=partial)
    async with call.begin() as tx:
        changes = TenantChanges(**values)
        home = call.directory.settings.tenant
        changed = await tenants.update(tx, _id(call), changes, home=home, problems=problems)
    return answer(200, tenant_out(changed))


async def delete(call: Call) -> Response:
    """DELETE /tenants/{id}/."""
    async with call.begin() as tx:
        await tenants.delete(tx, _id(call), home=call.directory.settings.tenant)
    return Response(None, 204)


def _id(call: Call) -> int:
    return call.number("id")
