"""A person: facts, whether it can sign in and why, its sessions, and what may be done with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from dragoman.actions import erasure, explain, history, password_resets, tokens, user_lists, users
from dragoman.actions.explain import ReasonCode, SignInReason
from dragoman.console import messages, pages, proof
from dragoman.console.console import Console
from dragoman.console.contract import CONTRACT
from dragoman.console.screen import Screen, read_form
from dragoman.rules import policy
from dragoman.rules.errors import (
    DirectoryError,
    Forbidden,
    Inactive,
    Invalid,
    LastOwner,
    LastSuperadmin,
    NotFound,
    RateLimited,
)
from dragoman.rules.model import HistoryFilter, Role, User
from dragoman.rules.vocabulary import Action
from dragoman.web.calls import Call

LATEST = 8
"""How many entries of the history the page shows."""

REASONS: Mapping[ReasonCode, str] = {
    ReasonCode.CONTRACT_OFF: "This contract is not served.",
    ReasonCode.DELETED: "Deleted.",
    ReasonCode.INACTIVE: "Inactive.",
    ReasonCode.TENANT_INACTIVE: "The tenant is inactive.",
    ReasonCode.NOT_APPROVED: "Signed up, and not approved yet.",
    ReasonCode.NOT_PROVEN: "The e-mail address is not verified yet.",
    ReasonCode.NO_EMAIL: "Signs people in by e-mail address, and there is none.",
    ReasonCode.NO_PASSWORD: "There is no password.",
    ReasonCode.PASSWORD_TOO_SHORT: "The password may be too short for this contract.",
    ReasonCode.LOCKED: "Too many wrong passwords; other addresses may be let in.",
}

DONE: Mapping[str, str] = {
    "activate": "Activated.",
    "deactivate": "Deactivated. All sessions have ended.",
    "approve": "Approved for all contracts.",
    "unlock": "Failed sign-ins are forgotten; the next attempt is taken.",
    "link": "A link to set a password is on its way.",
    "role": "The role is changed. All sessions have ended.",
    "sessions": "The sessions of the console have ended.",
}
"""What is said after each operation."""

REFUSALS: Mapping[type[DirectoryError], str] = {
    LastOwner: "This is the last active owner of the tenant. Make another one first.",
    LastSuperadmin: "This is the last active superadmin. Make another one first.",
    Inactive: "This person is inactive. Activate it first.",
    RateLimited: "Too many mails went to this address. Try again later.",
}


class Offer(msgspec.Struct, frozen=True):
    """Which operations the page offers: those that the policy would not refuse."""

    activate: bool
    deactivate: bool
    approve: bool
    unlock: bool
    link: bool
    sessions: bool
    erase: bool
    roles: tuple[Role, ...]


def routes(console: Console) -> list[Route]:
    """Return the routes of the screen."""
    show = Screen(console.directory, CONTRACT, GET=partial(_show, console))
    change = Screen(console.directory, CONTRACT, POST=partial(_change, console))
    return [Route("/people/{id}", show), Route("/people/{id}/{operation}", change)]


def _offer(call: Call, user: User) -> Offer:
    def may(action: Action) -> bool:
        try:
            policy.require(call.actor, action, user)
        except (Forbidden, NotFound):
            return False
        return True

    may_assign = may(Action.ASSIGN_ROLE)
    assignable = policy.assignable_roles(call.actor) - {user.role} if may_assign else frozenset()
    roles = (role for role in assignable if user.tenant_id is not None or role.is_platform_role)
    return Offer(
        activate=not user.active and may(Action.SET_ACTIVE),
        deactivate=user.active and may(Action.SET_ACTIVE),
        approve=not user.approved and may(Action.APPROVE_USER),
        unlock=may(Action.UNLOCK_USER),
        link=user.active and bool(user.email) and may(Action.SET_PASSWORD),
        sessions=may(Action.REVOKE_TOKEN),
        erase=not call.actor.is_user(user.id) and may(Action.ERASE_USER),
        roles=tuple(sorted(roles)),
    )


async def _show(console: Console, call: Call) -> Response:
    """GET /console/people/ID."""
    return await _page(console, call, call.id_param("id"))


async def _page(console: Console, call: Call, user_id: int, problem: str = "") -> Response:
    read = call.read()
    user = await user_lists.get(read, user_id)
    explanation, entries = None, []
    try:
        explanation = await explain.explain(call.directory, read, user_id, console.contracts)
        entries = await history.find(read, HistoryFilter(user_id=user_id), limit=LATEST)
    except (Forbidden, NotFound):  # who sees a person may not see how it signs in
        pass
    return pages.render(
        call,
        "person",
        400 if problem else 200,
        person=user,
        offer=_offer(call, user),
        explanation=explanation,
        because=_because,
        entries=entries,
        done=DONE.get(call.request.query_params.get("done", ""), ""),
        problem=problem,
    )


def _because(reasons: tuple[SignInReason, ...]) -> str:
    """Return all reasons in words."""
    return " ".join(REASONS[reason.code] for reason in reasons) or "Active, with a password."


Operation = Callable[[Call, int, Mapping[str, str]], Awaitable[None]]


async def _set_active(call: Call, user_id: int, _: Mapping[str, str], *, active: bool) -> None:
    async with call.begin() as tx:
        await users.set_active(tx, user_id, active=active)


async def _approve(call: Call, user_id: int, _: Mapping[str, str]) -> None:
    async with call.begin() as tx:
        await users.approve(tx, user_id)


async def _unlock(call: Call, user_id: int, _: Mapping[str, str]) -> None:
    async with call.begin() as tx:
        await users.unlock(tx, user_id)


async def _send_link(call: Call, user_id: int, _: Mapping[str, str]) -> None:
    async with call.begin() as tx:
        await password_resets.send_link(tx, user_id)


async def _assign_role(call: Call, user_id: int, form: Mapping[str, str]) -> None:
    role = Role.__members__.get(form.get("role", "").upper())
    if role is None:
        raise NotFound
    async with call.begin() as tx:
        await users.assign_role(tx, user_id, role)


async def _end_sessions(call: Call, user_id: int, _: Mapping[str, str]) -> None:
    async with call.begin() as tx:
        await tokens.revoke(tx, user_id)


OPERATIONS: Mapping[str, Operation] = {
    "activate": partial(_set_active, active=True),
    "deactivate": partial(_set_active, active=False),
    "approve": _approve,
    "unlock": _unlock,
    "link": _send_link,
    "role": _assign_role,
    "sessions": _end_sessions,
}


async def _change(console: Console, call: Call) -> Response:
    """POST /console/people/ID/OPERATION."""
    user_id, name = call.id_param("id"), call.path_params["operation"]
    form = await read_form(call)
    if name == "erase":
        return await _erase(console, call, user_id, form)
    operation = OPERATIONS.get(name)
    if operation is None:
        raise NotFound
    role = Role.__members__.get(form.get("role", "").upper(), Role.VIEWER)
    is_weighty = name == "role" and not Role.OWNER.outranks(role)
    fresh = await proof.require_fresh(call, form) if is_weighty else proof.Proof()
    try:
        await operation(call, user_id, form)
    except tuple(REFUSALS) as error:
        return fresh.carry(await _page(console, call, user_id, REFUSALS[type(error)]))
    except Invalid as error:
        texts = [text for found in messages.by_field(error.problems).values() for text in found]
        return fresh.carry(await _page(console, call, user_id, " ".join(texts)))
    return fresh.carry(pages.redirect(call, f"/people/{user_id}", done=name))


async def _erase(console: Console, call: Call, user_id: int, form: Mapping[str, str]) -> Response:
    """POST /console/people/ID/erase: the form repeats the username."""
    user = await user_lists.get(call.read(), user_id)
    if form.get("name", "").strip() != user.username:
        problem = "Nothing was erased: the name that you typed is not the username."
        return await _page(console, call, user_id, problem)
    fresh = await proof.require_fresh(call, form)
    try:
        async with call.begin() as tx:
            await erasure.erase(tx, user_id)
    except (LastOwner, LastSuperadmin) as error:
        return fresh.carry(await _page(console, call, user_id, REFUSALS[type(error)]))
    done = pages.redirect(call, "/people", erased=1)
    return fresh.carry(done)
