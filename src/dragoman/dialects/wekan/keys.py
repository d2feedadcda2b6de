"""Wekan's tokens of other people: administrators make and end them."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import tokens, user_lists
from dragoman.dialects.wekan.auth import KIND
from dragoman.dialects.wekan.errors import answer
from dragoman.dialects.wekan.schemas import BODIES, text_of
from dragoman.dialects.wekan.users import administrate
from dragoman.rules.errors import Invalid, Problem
from dragoman.web import bodies
from dragoman.web.calls import Call


async def create(call: Call) -> Response:
    """POST /api/createtoken/:id: for oneself, or for an active user of lower rank."""
    administrate(call)
    name = call.params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=name, username=name)
        credential = await tokens.issue(tx, call.directory, user.id, KIND)
    return answer(200, {"_id": user.public_id, "authToken": credential.secret})


async def end(call: Call) -> Response:
    """POST /api/deletetoken: one token of a user, or without one all of them."""
    administrate(call)
    body = await bodies.fields(call.request, BODIES)
    problems: list[Problem] = []
    name = text_of(body, "userId", problems)
    secret = text_of(body, "token", problems)
    if not name and not problems:
        problems.append(Problem("userId", "required"))
    if problems:
        raise Invalid(*problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=name, username=name)
        await tokens.revoke(tx, user.id, secret=secret)
    return answer(200, {"message": "Success"})
