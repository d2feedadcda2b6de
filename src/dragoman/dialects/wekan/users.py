"""Wekan's users: the own document, and what administrators see and do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response, StreamingResponse

from dragoman.actions import tokens, user_lists, users
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.errors import json_response
from dragoman.dialects.wekan.schemas import ACTIVE_BY_ACTION, MEDIA_TYPES, PASSWORD_RULES, user_out
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Problem, Reason
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies
from dragoman.web.calls import Call


def require_admin(call: Call) -> None:
    """Pass administrators; raises Forbidden for all others, whoever they ask for."""
    policy.require_reach(call.actor, Action.LIST_USERS)


async def me(call: Call) -> Response:
    """GET /api/user: the own document, without ``services``."""
    return json_response(200, user_out(await user_lists.get(call.read(), call.actor.user_id)))


async def list_users(call: Call) -> Response:
    """GET /api/users: all of the tenant, written while they are read."""
    batches = user_lists.iterate(call.read())
    first_batch = await anext(batches)  # before the status is sent, so that a refusal still has one

    async def stream_body() -> AsyncGenerator[bytes]:
        async with aclosing(batches):
            yield b"[" + _encode_rows(first_batch)
            async for batch in batches:
                if batch:
                    yield b"," + _encode_rows(batch)
            yield b"]"

    return StreamingResponse(stream_body(), media_type="application/json")


def _encode_rows(batch: list[User]) -> bytes:
    rows = [{"_id": user.public_id, "username": user.username} for user in batch]
    return msgspec.json.encode(rows)[1:-1]


async def create(call: Call) -> Response:
    """POST /api/users: a member of the administrator's tenant."""
    require_admin(call)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    problems: list[Problem] = []
    new = schemas.new_user(body, problems)
    call.field_names = schemas.form_field_names(new)
    user = await users.create(
        call.directory,
        call.actor,
        new,
        schemas.parse_password(body, problems),
        PASSWORD_RULES,
        charset=UsernameCharset.PERMISSIVE,
        problems=problems,
    )
    return json_response(200, {"_id": user.public_id})


async def retrieve(call: Call) -> Response:
    """GET /api/users/:id."""
    require_admin(call)
    id_or_username = call.path_params["id"]
    return await _user_response(
        call, await user_lists.find(call.read(), public_id=id_or_username, username=id_or_username)
    )


async def _user_response(call: Call, user: User) -> Response:
    session_start_times = await tokens.session_start_times(call.read(), user)
    return json_response(200, user_out(user, schemas.services_out(session_start_times)))


async def set_active(call: Call) -> Response:
    """PUT /api/users/:id and /api/user/:id: switch somebody off or on.

    An action that is not known, or one on oneself, leaves the document as it is.
    """
    require_admin(call)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    action, id_or_username = body.get("action"), call.path_params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=id_or_username, username=id_or_username)
        if isinstance(action, str) and action in ACTIVE_BY_ACTION:
            try:
                user = await users.set_active(tx, user.id, active=ACTIVE_BY_ACTION[action])
            except Forbidden as error:
                if error.reason is not Reason.OWN_ACCOUNT:
                    raise
    return await _user_response(call, user)


async def delete(call: Call) -> Response:
    """DELETE /api/users/:id: erases for ever."""
    require_admin(call)
    id_or_username = call.path_params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=id_or_username, username=id_or_username)
        await users.delete(tx, user.id, erase=True)
    return json_response(200, {"_id": user.public_id})


async def boards(_: Call) -> Response:
    """GET /api/boards and /api/users/:id/boards: there are none here, but clients ask."""
    return json_response(200, [])
