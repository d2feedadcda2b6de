"""WiWebb's tenants: list, create, retrieve, update, delete."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman.actions import tenants
from dragoman.dialects.wiwebb import schemas
from dragoman.dialects.wiwebb.errors import handle_filter_error
from dragoman.dialects.wiwebb.schemas import tenant_out
from dragoman.dialects.wiwebb.users import envelope, get_requested_page, page_size
from dragoman.rules.errors import Problem
from dragoman.rules.fields import search_words
from dragoman.rules.model import Page, TenantChanges
from dragoman.web import bodies, forms, pagination
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse


async def list_tenants(call: Call) -> Response:
    """GET /tenants/: return a page of tenants."""
    call.handle_error = handle_filter_error
    query = pagination.query_params(call)
    size = page_size(query)
    problems: list[Problem] = []
    active = None
    if is_active := query.get("is_active", "").strip():
        active = forms.parse_boolean(is_active)
        if active is None:
            problems.append(Problem("active", "not_boolean"))

    async def fetch_page(number: int) -> Page[tenants.TenantWithCount]:
        return await tenants.list_page(
            call.read(),
            words=search_words(query.get("search", "")),
            active=active,
            order=_parse_ordering(query.get("ordering", "")),
            limit=size,
            offset=(number - 1) * size,
            problems=problems,
        )

    number, page = await get_requested_page(query, size, fetch_page)
    body: dict[str, Any] = envelope(call, query, number, size, page.count)
    body["results"] = [tenant_out(counted) for counted in page.rows]
    return MsgspecResponse(200, body)


def _parse_ordering(text: str) -> tuple[str, bool]:
    for term in text.split(","):
        name = term.strip()
        key = schemas.TENANT_ORDERING_FIELDS.get(name.removeprefix("-"))
        if key is not None:
            return key, name.startswith("-")
    return "name", False


async def create(call: Call) -> Response:
    """POST /tenants/: create a tenant."""
    values, problems = forms.parse(await bodies.read_fields(call.request), schemas.TENANT)
    async with call.begin() as tx:
        created = await tenants.create(tx, TenantChanges(**values), problems=problems)
    return MsgspecResponse(201, tenant_out(created))


async def retrieve(call: Call) -> Response:
    """GET /tenants/{id}/: return a tenant."""
    return MsgspecResponse(200, tenant_out(await tenants.get(call.read(), _tenant_id(call))))


async def retrieve_own(call: Call) -> Response:
    """GET /tenants/me/: return the caller's own tenant."""
    return MsgspecResponse(200, tenant_out(await tenants.get_own(call.read())))


async def put(call: Call) -> Response:
    """PUT /tenants/{id}/: update a tenant; name and slug are required."""
    return await _update(call, partial=False)


async def patch(call: Call) -> Response:
    """PATCH /tenants/{id}/: update fields of a tenant."""
    return await _update(call, partial=True)


async def _update(call: Call, *, partial: bool) -> Response:
    body = await bodies.read_fields(call.request)
    values, problems = forms.parse(body, schemas.TENANT, partial=partial)
    async with call.begin() as tx:
        changes = TenantChanges(**values)
        default_tenant = call.directory.settings.tenant
        updated = await tenants.update(
            tx, _tenant_id(call), changes, home_slug=default_tenant, problems=problems
        )
    return MsgspecResponse(200, tenant_out(updated))


async def delete(call: Call) -> Response:
    """DELETE /tenants/{id}/: delete a tenant."""
    async with call.begin() as tx:
        await tenants.delete(tx, _tenant_id(call), home_slug=call.directory.settings.tenant)
    return Response(None, 204)


def _tenant_id(call: Call) -> int:
    return call.id_param("id")
