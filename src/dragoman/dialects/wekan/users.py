"""Wekan's users: the caller's own document, and management by administrators."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response, StreamingResponse

from dragoman.actions import tokens, user_lists, users
from dragoman.dialects.wekan import schemas
from dragoman.dialects.wekan.schemas import (
    ACTIVE_BY_ACTION,
    MEDIA_TYPES,
    PASSWORD_RULES,
    parse_new_user,
    parse_password,
    user_out,
)
from dragoman.rules import policy
from dragoman.rules.errors import Forbidden, Reason
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import User
from dragoman.rules.vocabulary import Action
from dragoman.web import bodies
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse


def require_admin(call: Call) -> None:
    """Raise Forbidden unless the caller is an administrator, whatever user is requested."""
    policy.require_reach(call.actor, Action.LIST_USERS)


async def me(call: Call) -> Response:
    """GET /api/user: return the caller's own document, without ``services``."""
    return MsgspecResponse(200, user_out(await user_lists.get(call.read(), call.actor.user_id)))


async def list_users(call: Call) -> Response:
    """GET /api/users: stream all users within the caller's reach."""
    batches = user_lists.iterate(call.directory, call.read())
    first_batch = await anext(batches)  # before the status is sent: it may raise Forbidden

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
    """POST /api/users: create a member of the administrator's tenant."""
    require_admin(call)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    new, problems = parse_new_user(body)
    password, password_problems = parse_password(body)
    call.field_names = schemas.form_field_names(new)
    user = await users.create(
        call.directory,
        call.actor,
        new,
        password,
        PASSWORD_RULES,
        charset=UsernameCharset.PERMISSIVE,
        problems=problems + password_problems,
    )
    return MsgspecResponse(200, {"_id": user.public_id})


async def retrieve(call: Call) -> Response:
    """GET /api/users/:id: return a user's document, with ``services``."""
    require_admin(call)
    id_or_username = call.path_params["id"]
    return await _user_response(
        call, await user_lists.find(call.read(), public_id=id_or_username, username=id_or_username)
    )


async def _user_response(call: Call, user: User) -> Response:
    session_start_times = await tokens.session_start_times(call.read(), user)
    return MsgspecResponse(200, user_out(user, schemas.services_out(session_start_times)))


async def set_active(call: Call) -> Response:
    """PUT /api/users/:id and /api/user/:id: disable or enable a user's login.

    An unknown action, or one on the caller's own account, changes nothing.
    """
    require_admin(call)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    action = body.get("action")
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=call.path_params["id"])
        if isinstance(action, str) and action in ACTIVE_BY_ACTION:
            try:
                user = await users.set_active(tx, user.id, active=ACTIVE_BY_ACTION[action])
            except Forbidden as error:
                if error.reason is not Reason.OWN_ACCOUNT:
                    raise
    return await _user_response(call, user)


async def delete(call: Call) -> Response:
    """DELETE /api/users/:id: erase the user permanently."""
    require_admin(call)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=call.path_params["id"])
        await users.delete(tx, user.id, erase=True)
    return MsgspecResponse(200, {"_id": user.public_id})


async def boards(_: Call) -> Response:
    """GET /api/boards and /api/users/:id/boards: always empty; clients call it after signing in."""
    return MsgspecResponse(200, [])
