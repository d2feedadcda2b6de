"""Wekan's users: the own document, and what administrators see and do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response, StreamingResponse

from dragoman.actions import tokens, user_lists, users
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.errors import answer
from dragoman.dialects.wekan.schemas import BODIES, FLOOR, SWITCHES, user_out
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Problem, Reason
from dragoman.rules.fields import Alphabet
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies
from dragoman.web.calls import Call


def administrate(call: Call) -> None:
    """Pass administrators; raises Forbidden for all others, whoever they ask for."""
    policy.allow(call.actor, Action.LIST_USERS)


async def me(call: Call) -> Response:
    """GET /api/user: the own document, without ``services``."""
    return answer(200, user_out(await user_lists.view(call.read(), call.actor.user_id)))


async def listing(call: Call) -> Response:
    """GET /api/users: all of the tenant, written while they are read."""
    walk = user_lists.walk(call.read())
    first = await anext(walk)  # before the status is sent, so that a refusal still has one

    async def text() -> AsyncGenerator[bytes]:
        async with aclosing(walk):
            yield b"[" + _rows(first)
            async for found in walk:
                if found:
                    yield b"," + _rows(found)
            yield b"]"

    return StreamingResponse(text(), media_type="application/json")


def _rows(found: list[User]) -> bytes:
    shown = [{"_id": user.public_id, "username": user.username} for user in found]
    return msgspec.json.encode(shown)[1:-1]


async def create(call: Call) -> Response:
    """POST /api/users: a member of the administrator's tenant."""
    administrate(call)
    body = await bodies.fields(call.request, BODIES)
    problems: list[Problem] = []
    new = schemas.newcomer(body, problems)
    call.names = schemas.names_of(new)
    user = await users.create(
        call.directory,
        call.actor,
        new,
        schemas.password_of(body, problems),
        FLOOR,
        alphabet=Alphabet.FREE,
        problems=problems,
    )
    return answer(200, {"_id": user.public_id})


async def retrieve(call: Call) -> Response:
    """GET /api/users/:id."""
    administrate(call)
    name = call.params["id"]
    return await _document(call, await user_lists.find(call.read(), public_id=name, username=name))


async def _document(call: Call, user: User) -> Response:
    sessions = await tokens.beginnings(call.read(), user)
    return answer(200, user_out(user, schemas.services_out(sessions)))


async def switch(call: Call) -> Response:
    """PUT /api/users/:id and /api/user/:id: switch somebody off or on.

    An action that is not known, or one on oneself, leaves the document as it is.
    """
    administrate(call)
    body = await bodies.fields(call.request, BODIES)
    action, name = body.get("action"), call.params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=name, username=name)
        if isinstance(action, str) and action in SWITCHES:
            try:
                user = await users.set_active(tx, user.id, active=SWITCHES[action])
            except Forbidden as fault:
                if fault.reason is not Reason.ONESELF:
                    raise
    return await _document(call, user)


async def delete(call: Call) -> Response:
    """DELETE /api/users/:id: erases for ever."""
    administrate(call)
    name = call.params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=name, username=name)
        await users.delete(tx, user.id, erase=True)
    return answer(200, {"_id": user.public_id})


async def boards(_: Call) -> Response:
    """GET /api/boards and /api/users/:id/boards: there are none here, but clients ask."""
    return answer(200, [])
