"""Tenants: search and page through them; create one; change, switch off or delete it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import tenants, user_lists
from dragoman.actions.tenants import TenantWithCount
from dragoman.console import messages, pages, proof
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules import policy
from dragoman.rules.errors import (
    DirectoryError,
    Forbidden,
    InUse,
    Invalid,
    LastSuperadmin,
    NotFound,
)
from dragoman.rules.fields import canonical, search_words
from dragoman.rules.model import Filter, Order, Role, TenantChanges
from dragoman.rules.vocabulary import Action
from dragoman.web.calls import Call, parse_positive_int

SIZES = (20, 50, 100)
STATES = {"active": True, "inactive": False}
SORTS = {"name": "name", "slug": "slug", "created": "created_at"}
FIELDS = ("name", "slug", "email", "url", "description")
MANY = 100
"""Switching off a tenant of more people than this needs a fresh proof."""
OWNERS_SHOWN = 10
DONE = {
    "created": "The tenant is created. Invite or create its first owner.",
    "saved": "The changes are saved.",
    "activate": "The tenant is switched on. Its people can sign in again.",
    "deactivate": "The tenant is switched off. All sessions of its people have ended.",
    "deleted": "The tenant is deleted.",
}
REFUSALS: Mapping[type[DirectoryError], str] = {
    LastSuperadmin: "The last active superadmin belongs to this tenant. Make one elsewhere first.",
    InUse: "This tenant has people. Move or erase them first.",
}


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    directory = console.directory
    return [
        Route("/tenants", Screen(directory, CONTRACT, GET=_list, POST=_create)),
        Route("/tenants/new", Screen(directory, CONTRACT, GET=_new)),
        Route("/tenants/{id}", Screen(directory, CONTRACT, GET=_show, POST=_update)),
        Route("/tenants/{id}/{operation}", Screen(directory, CONTRACT, POST=_change)),
    ]


async def _list(call: Call) -> Response:
    """GET /console/tenants."""
    params = call.request.query_params
    q, state, sort = params.get("q", "").strip()[:200], params.get("state", ""), params.get("sort")
    sort = sort if sort and sort.removeprefix("-") in SORTS else "name"
    size = parse_positive_int(params.get("size", ""))
    size = size if size in SIZES else SIZES[0]
    number = parse_positive_int(params.get("page", "")) or 1
    found = await tenants.list_page(
        call.read(),
        words=search_words(q),
        active=STATES.get(state),
        order=(SORTS[sort.removeprefix("-")], sort.startswith("-")),
        limit=size,
        offset=(number - 1) * size,
    )
    owners = await tenants.owner_counts(call.read(), [each.tenant.id for each in found.rows])
    query = {"q": q, "state": state if state in STATES else "", "sort": sort, "size": size}
    return pages.render(
        call,
        "tenants",
        rows=found.rows,
        owners=owners,
        count=found.count,
        query=query,
        number=number,
        sizes=SIZES,
        last_page=max(1, -(-found.count // size)),
        done=DONE["deleted"] if params.get("done") == "deleted" else "",
    )


async def _new(call: Call) -> Response:
    """GET /console/tenants/new."""
    policy.require_reach(call.actor, Action.CREATE_TENANT)
    return _form_page(call)


def _form_page(call: Call, status: int = 200, **context: Any) -> Response:
    typed = dict.fromkeys(FIELDS, "")
    return pages.render(call, "tenants_new", status, **{"typed": typed, "wrong": {}, **context})


def _typed(form: Mapping[str, str]) -> TenantChanges:
    """Return the changes of a form; fields that it does not have stay unchanged."""
    values: dict[str, Any] = {name: form.get(name, UNSET) for name in FIELDS}
    return TenantChanges(**values)


async def _create(call: Call) -> Response:
    """POST /console/tenants."""
    form = await read_form(call)
    typed: dict[str, Any] = {name: form.get(name, "") for name in FIELDS}
    try:
        async with call.begin() as tx:
            created = await tenants.create(tx, TenantChanges(**typed))
    except Invalid as error:
        return _form_page(call, 400, typed=typed, wrong=messages.by_field(error.problems))
    return pages.redirect(call, f"/tenants/{created.tenant.id}", done="created")


async def _show(call: Call) -> Response:
    """GET /console/tenants/ID."""
    return await _page(call, call.id_param("id"))


class Offer(msgspec.Struct, frozen=True):
    """Which operations the page offers: those that would not be refused."""

    update: bool
    switch: bool
    delete: bool
    slug: bool
    groups: bool


def _may(call: Call, action: Action, tenant_id: int) -> bool:
    try:
        policy.require_tenant(call.actor, action, tenant_id)
    except (Forbidden, NotFound):
        return False
    return True


def _is_home(call: Call, found: TenantWithCount) -> bool:
    return canonical(found.tenant.slug) == canonical(call.directory.settings.tenant)


def _offer(call: Call, found: TenantWithCount) -> Offer:
    tenant_id, is_home = found.tenant.id, _is_home(call, found)
    update = _may(call, Action.UPDATE_TENANT, tenant_id)
    may_delete = _may(call, Action.DELETE_TENANT, tenant_id)
    return Offer(
        update=update,
        switch=update and _may(call, Action.SWITCH_TENANT, tenant_id),
        delete=may_delete and not found.user_count and not is_home,
        slug=update and not is_home,
        groups=_may(call, Action.ASSIGN_PERMISSION, tenant_id),
    )


async def _page(
    call: Call,
    tenant_id: int,
    problem: str = "",
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, list[str]] | None = None,
) -> Response:
    """Return the page of a tenant.

    Args:
        call: the request.
        tenant_id: the tenant.
        problem: why a change was refused; empty if none was.
        typed: the texts of a form that was refused; the tenant's own for the others.
        wrong: what is wrong with each field of that form.
    """
    read = call.read()
    found = await tenants.get(read, tenant_id)
    owners = await user_lists.list_page(
        call.directory,
        read,
        Filter(tenant_id=tenant_id, roles=frozenset({Role.OWNER}), active=True),
        (Order("username"), Order("id")),
        limit=OWNERS_SHOWN,
    )
    current = {name: getattr(found.tenant, name) for name in FIELDS}
    return pages.render(
        call,
        "tenants_one",
        400 if problem or wrong else 200,
        tenant=found.tenant,
        user_count=found.user_count,
        is_home=_is_home(call, found),
        owners=owners.rows,
        owner_count=owners.count,
        offer=_offer(call, found),
        may_delete=_may(call, Action.DELETE_TENANT, tenant_id),
        typed={**current, **(typed or {})},
        wrong=wrong or {},
        problem=problem,
        done=DONE.get(call.request.query_params.get("done", ""), ""),
    )


async def _update(call: Call) -> Response:
    """POST /console/tenants/ID."""
    tenant_id, form = call.id_param("id"), await read_form(call)
    home = call.directory.settings.tenant
    try:
        async with call.begin() as tx:
            await tenants.update(tx, tenant_id, _typed(form), home_slug=home)
    except Invalid as error:
        typed = {name: form[name] for name in FIELDS if name in form}
        wrong = messages.by_field(error.problems)
        return await _page(call, tenant_id, typed=typed, wrong=wrong)
    return pages.redirect(call, f"/tenants/{tenant_id}", done="saved")


async def _change(call: Call) -> Response:
    """POST /console/tenants/ID/OPERATION: activate, deactivate, delete."""
    tenant_id, name = call.id_param("id"), call.path_params["operation"]
    form = await read_form(call)
    if name == "delete":
        return await _delete(call, tenant_id, form)
    if name not in {"activate", "deactivate"}:
        raise NotFound
    policy.require_tenant(call.actor, Action.SWITCH_TENANT, tenant_id)
    found, active = await tenants.get(call.read(), tenant_id), name == "activate"
    is_weighty = not active and found.user_count > MANY
    fresh = await proof.require_fresh(call, form) if is_weighty else proof.Proof()
    home = call.directory.settings.tenant
    try:
        async with call.begin() as tx:
            await tenants.update(tx, tenant_id, TenantChanges(active=active), home_slug=home)
    except LastSuperadmin as error:
        return fresh.carry(await _page(call, tenant_id, REFUSALS[type(error)]))
    return fresh.carry(pages.redirect(call, f"/tenants/{tenant_id}", done=name))


async def _delete(call: Call, tenant_id: int, form: Mapping[str, str]) -> Response:
    """POST /console/tenants/ID/delete: the form repeats the slug."""
    policy.require_tenant(call.actor, Action.DELETE_TENANT, tenant_id)
    found = await tenants.get(call.read(), tenant_id)
    if form.get("slug", "").strip() != found.tenant.slug:
        problem = "Nothing was deleted: what you typed is not the slug."
        return await _page(call, tenant_id, problem)
    if _is_home(call, found):
        return await _page(call, tenant_id, "The default tenant cannot be deleted.")
    fresh = await proof.require_fresh(call, form)
    try:
        async with call.begin() as tx:
            await tenants.delete(tx, tenant_id, home_slug=call.directory.settings.tenant)
    except InUse as error:
        return fresh.carry(await _page(call, tenant_id, REFUSALS[type(error)]))
    return fresh.carry(pages.redirect(call, "/tenants", done="deleted"))
