"""Groups: search and page through them; create one; change its members and what it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import groups, tenants, user_lists
from dragoman.console import messages, pages
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Invalid, NotFound, Problem, Reason
from dragoman.rules.fields import search_words
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Action, Reach
from dragoman.web.calls import Call, parse_positive_int

SIZES = (20, 50, 100)
MEMBERS_SHOWN = 50
DONE = {
    "created": "The group is created. Add permissions and members below.",
    "deleted": "The group is deleted; its members have lost what it held.",
    "add": "The member is added.",
    "remove": "The member is removed.",
    "permit": "The permission is added; every member has it now.",
    "forbid": "The permission is removed.",
    "same": "Nothing had to be changed.",
}
REFUSALS: Mapping[Reason, str] = {
    Reason.RANK: "A higher-ranking person is concerned: only who ranks as high may change this.",
    Reason.DELEGATION: "You cannot give or take what you do not have yourself.",
    Reason.REACH: "This person is out of your reach.",
}
NAMES = {codename: name for _, codename, name, _ in policy.PERMISSION_CATALOGUE}
IDS = {codename: number for number, codename, _, _ in policy.PERMISSION_CATALOGUE}


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    directory = console.directory
    return [
        Route("/groups", Screen(directory, CONTRACT, GET=_list, POST=_create)),
        Route("/groups/new", Screen(directory, CONTRACT, GET=_new)),
        Route("/groups/{id}", Screen(directory, CONTRACT, GET=_show)),
        Route("/groups/{id}/{operation}", Screen(directory, CONTRACT, POST=_change)),
    ]


def _sees_all(call: Call) -> bool:
    """Return whether the actor has to say which tenant it means."""
    return policy.require_reach(call.actor, Action.ASSIGN_PERMISSION) is Reach.ANY


async def _tenant_id(call: Call, text: str) -> int | None:
    """Return the id of the tenant that was typed, if it exists; the own one for all but platform."""
    if not _sees_all(call):
        return call.actor.tenant_id
    try:
        return (await tenants.find(call.read(), text)).id if text else None
    except NotFound:
        return None


async def _list(call: Call) -> Response:
    """GET /console/groups."""
    params, sees_all = call.request.query_params, _sees_all(call)
    q = params.get("q", "").strip()[:200]
    tenant = params.get("tenant", "").strip()[:200] if sees_all else ""
    size = parse_positive_int(params.get("size", ""))
    size = size if size in SIZES else SIZES[0]
    number = parse_positive_int(params.get("page", "")) or 1
    tenant_id = await _tenant_id(call, tenant)
    rows, count, unknown = [], 0, bool(tenant) and tenant_id is None
    if not unknown:
        found = await groups.list_page(
            call.read(),
            tenant_id,
            words=search_words(q),
            limit=size,
            offset=(number - 1) * size,
        )
        rows, count = found.rows, found.count
    return pages.render(
        call,
        "groups",
        rows=rows,
        count=count,
        tenant_names=await groups.tenant_names(call.read(), rows),
        query={"q": q, "tenant": tenant, "size": size},
        number=number,
        sizes=SIZES,
        last_page=max(1, -(-count // size)),
        sees_all=sees_all,
        unknown_tenant=unknown,
        done=DONE["deleted"] if params.get("done") == "deleted" else "",
    )


async def _new(call: Call) -> Response:
    """GET /console/groups/new."""
    return _form_page(
        call, typed={"name": "", "tenant": call.request.query_params.get("tenant", "")}
    )


def _form_page(call: Call, status: int = 200, **context: Any) -> Response:
    shown = {"wrong": {}, "sees_all": _sees_all(call), **context}
    return pages.render(call, "groups_new", status, **shown)


async def _create(call: Call) -> Response:
    """POST /console/groups: name, tenant."""
    form = await read_form(call)
    typed = {name: form.get(name, "").strip() for name in ("name", "tenant")}
    tenant_id = await _tenant_id(call, typed["tenant"])
    try:
        if tenant_id is None:
            raise Invalid(Problem("tenant", "unknown" if typed["tenant"] else "required"))
        async with call.begin() as tx:
            created = await groups.create(tx, tenant_id, typed["name"])
    except Invalid as error:
        return _form_page(call, 400, typed=typed, wrong=messages.by_field(error.problems))
    return pages.redirect(call, f"/groups/{created.group.id}", done="created")


async def _show(call: Call) -> Response:
    """GET /console/groups/ID."""
    return await _page(call, call.id_param("id"))


async def _page(
    call: Call, group_id: int, problem: str = "", typed: str = "", wrong: str = ""
) -> Response:
    """Return the page of a group.

    Args:
        call: the request.
        group_id: the group.
        problem: why a change was refused; empty if none was.
        typed: the username that was typed.
        wrong: what is wrong with it.
    """
    read = call.read()
    summary = await groups.get(read, group_id)
    number = parse_positive_int(call.request.query_params.get("page", "")) or 1
    members = await groups.list_members(
        read, group_id, limit=MEMBERS_SHOWN, offset=(number - 1) * MEMBERS_SHOWN
    )
    held = {name for name in NAMES if policy.has_permission(call.actor, name)}
    holds_all = held.issuperset(summary.permissions)
    is_outranked = await groups.is_outranked(read, group_id)
    names = await groups.tenant_names(read, [summary])
    return pages.render(
        call,
        "groups_one",
        400 if problem or wrong else 200,
        group=summary.group,
        tenant_name=names.get(summary.group.tenant_id, "–"),
        links_tenant=policy.granted_reach(call.actor, Action.VIEW_TENANT) >= Reach.TENANT,
        permissions=[(name, NAMES.get(name, name)) for name in summary.permissions],
        removable=frozenset() if is_outranked else held,
        addable=[
            (name, NAMES[name])
            for name in NAMES
            if name in held and name not in summary.permissions and not is_outranked
        ],
        member_count=summary.member_count,
        members=[(each, holds_all and _may_assign(call, each)) for each in members],
        may_add=holds_all,
        may_delete=holds_all and not is_outranked,
        is_outranked=is_outranked,
        number=number,
        last_page=max(1, -(-summary.member_count // MEMBERS_SHOWN)),
        problem=problem,
        typed=typed,
        wrong=wrong,
        done=DONE.get(call.request.query_params.get("done", ""), ""),
    )


def _may_assign(call: Call, user: User) -> bool:
    try:
        policy.require(call.actor, Action.ASSIGN_PERMISSION, user)
    except (Forbidden, NotFound):
        return False
    return True


async def _add(call: Call, group_id: int, form: Mapping[str, str]) -> bool:
    user = await user_lists.find(call.read(), username=form.get("username", "").strip())
    async with call.begin() as tx:
        return await groups.add_member(tx, group_id, user.id)


async def _remove(call: Call, group_id: int, form: Mapping[str, str]) -> bool:
    async with call.begin() as tx:
        return await groups.remove_member(
            tx, group_id, parse_positive_int(form.get("user", "")) or 0
        )


def _permission_ids(form: Mapping[str, str]) -> list[int]:
    return [IDS.get(form.get("permission", ""), 0)]


async def _permit(call: Call, group_id: int, form: Mapping[str, str]) -> bool:
    async with call.begin() as tx:
        await groups.add_permissions(tx, group_id, _permission_ids(form))
    return True


async def _forbid(call: Call, group_id: int, form: Mapping[str, str]) -> bool:
    async with call.begin() as tx:
        await groups.remove_permissions(tx, group_id, _permission_ids(form))
    return True


async def _delete(call: Call, group_id: int, _: Mapping[str, str]) -> bool:
    async with call.begin() as tx:
        await groups.delete(tx, group_id)
    return True


OPERATIONS: Mapping[str, Callable[[Call, int, Mapping[str, str]], Awaitable[bool]]] = {
    "add": _add,
    "remove": _remove,
    "permit": _permit,
    "forbid": _forbid,
    "delete": _delete,
}


async def _change(call: Call) -> Response:
    """POST /console/groups/ID/OPERATION."""
    group_id, name = call.id_param("id"), call.path_params["operation"]
    form = await read_form(call)
    operation = OPERATIONS.get(name)
    if operation is None:
        raise NotFound
    await groups.get(call.read(), group_id)
    typed = form.get("username", "")
    try:
        changed = await operation(call, group_id, form)
    except Forbidden as error:
        if error.reason not in REFUSALS:
            raise
        return await _page(call, group_id, REFUSALS[error.reason], typed=typed)
    except NotFound:
        if name != "add":
            raise
        return await _page(call, group_id, typed=typed, wrong="There is no such person.")
    except Invalid as error:
        if name == "add":
            text = "This person does not belong to the group's tenant."
            return await _page(call, group_id, typed=typed, wrong=text)
        texts = [text for found in messages.by_field(error.problems).values() for text in found]
        return await _page(call, group_id, " ".join(texts))
    if name == "delete":
        return pages.redirect(call, "/groups", done="deleted")
    return pages.redirect(call, f"/groups/{group_id}", done=name if changed else "same")
