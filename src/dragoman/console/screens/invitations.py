"""Invitations: whom they went to, what became of them and of their mails; invite, resend, revoke."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import invitation_mails, invitations, tenants
from dragoman.console import formats, messages, pages, proof
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules import policy
from dragoman.rules.errors import Invalid, NotFound, Problem, RateLimited, Taken
from dragoman.rules.model import Role
from dragoman.rules.vocabulary import Action, Reach
from dragoman.web.calls import Call, parse_positive_int

SIZE = 50
MAX_SUGGESTED_TENANTS = 200
STATUSES = {
    "pending": ("info", "half", "Pending"),
    "accepted": ("ok", "full", "Accepted"),
    "expired": ("off", "ring", "Expired"),
    "revoked": ("off", "bar", "Revoked"),
}
"""Class, shape and word of each status."""
DONE: Mapping[str, str] = {
    "invite": "The invitation is on its way.",
    "resend": "A new link is on its way. The earlier one has become void.",
    "revoke": "The invitation is revoked. Its link has become void.",
}
GONE = "This invitation is not pending any more."
TOO_MANY = "Too many mails went to this address, or from you. Try again later."
TAKEN = {
    "email": "This address belongs to a person who is here already.",
    "invitation": "An invitation to this address is pending. Resend that one.",
}


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    directory = console.directory
    return [
        Route("/invitations", Screen(directory, CONTRACT, GET=_show, POST=_invite)),
        Route("/invitations/new", Screen(directory, CONTRACT, GET=_show_form)),
        Route("/invitations/{id}/{operation}", Screen(directory, CONTRACT, POST=_change)),
    ]


async def _show(call: Call) -> Response:
    """GET /console/invitations."""
    return await _page(call)


async def _page(call: Call, problem: str = "") -> Response:
    number = min(parse_positive_int(call.request.query_params.get("page", "")) or 1, 10**9)
    read = call.read()
    found = await invitations.list_page(read, limit=SIZE, offset=(number - 1) * SIZE)
    mails = await invitation_mails.find(read, [each.invitation for each in found.rows])
    return pages.render(
        call,
        "invitations",
        400 if problem else 200,
        listed=found.rows,
        mails=mails,
        assignable=policy.assignable_roles(call.actor),
        statuses=STATUSES,
        count=found.count,
        page=number,
        size=SIZE,
        last_page=max(1, -(-found.count // SIZE)),
        has_mail_server=bool(call.directory.settings.smtp_url),
        done=DONE.get(call.request.query_params.get("done", ""), ""),
        problem=problem,
    )


async def _show_form(call: Call) -> Response:
    """GET /console/invitations/new."""
    return await _form_page(call, {})


async def _form_page(
    call: Call,
    form: Mapping[str, str],
    wrong: Mapping[str, list[str]] | None = None,
    problem: str = "",
) -> Response:
    reach = policy.require_reach(call.actor, Action.INVITE)
    suggested: list[Any] = []
    if reach is Reach.ANY:
        found = await tenants.list_page(call.read(), active=True, limit=MAX_SUGGESTED_TENANTS)
        suggested = [each.tenant for each in found.rows]
    roles = sorted(
        role for role in policy.assignable_roles(call.actor) if not role.is_platform_role
    )
    return pages.render(
        call,
        "invitations_new",
        400 if wrong or problem else 200,
        form=form,
        wrong=wrong or {},
        problem=problem,
        chooses_tenant=reach is Reach.ANY,
        needs_tenant=call.actor.tenant_id is None,
        suggested=suggested,
        roles=[(role.name.lower(), formats.role(role)) for role in roles],
        has_mail_server=bool(call.directory.settings.smtp_url),
    )


async def _invite(call: Call) -> Response:
    """POST /console/invitations: email, name, role, tenant."""
    policy.require_reach(call.actor, Action.INVITE)
    form = await read_form(call)
    role = Role.__members__.get(form.get("role", "").upper())
    tenant = form.get("tenant", "").strip()
    problems: list[Problem] = []
    if role is None or role.is_platform_role:  # a platform administrator belongs to no tenant
        role, problems = Role.VIEWER, [Problem("role", "choice")]
    if not tenant and call.actor.tenant_id is None:
        problems.append(Problem("tenant", "required"))
        return await _form_page(call, form, messages.by_field(problems))
    weighty = not problems and not Role.OWNER.outranks(role)
    fresh = await proof.require_fresh(call, form) if weighty else proof.Proof()
    try:
        async with call.begin() as tx:
            await invitations.invite(
                tx,
                email=form.get("email", ""),
                name=form.get("name", ""),
                role=role,
                tenant=tenant,
                problems=problems,
            )
    except Invalid as error:
        return fresh.carry(await _form_page(call, form, messages.by_field(error.problems)))
    except Taken as error:
        return fresh.carry(await _form_page(call, form, {"email": [TAKEN[error.field]]}))
    except RateLimited:
        return fresh.carry(await _form_page(call, form, problem=TOO_MANY))
    return fresh.carry(pages.redirect(call, "/invitations", done="invite"))


async def _resend(call: Call, public_id: str) -> None:
    async with call.begin() as tx:
        await invitations.resend(tx, public_id)


async def _revoke(call: Call, public_id: str) -> None:
    async with call.begin() as tx:
        await invitations.revoke(tx, public_id)


OPERATIONS: Mapping[str, Callable[[Call, str], Awaitable[None]]] = {
    "resend": _resend,
    "revoke": _revoke,
}


async def _change(call: Call) -> Response:
    """POST /console/invitations/ID/OPERATION."""
    policy.require_reach(call.actor, Action.INVITE)
    name = call.path_params["operation"]
    if name not in OPERATIONS:
        raise NotFound
    try:
        await OPERATIONS[name](call, call.path_params["id"])
    except NotFound:  # accepted, revoked or expired since the page was shown
        return await _page(call, GONE)
    except RateLimited:
        return await _page(call, TOO_MANY)
    return pages.redirect(call, "/invitations", done=name)
