"""Wekan's tokens: administrators create and revoke tokens of other users."""

from __future__ import annotations

from starlette.responses import Response

from dragoman.actions import tokens, user_lists
from dragoman.dialects.wekan.auth import CREDENTIAL_FORMAT
from dragoman.dialects.wekan.schemas import MEDIA_TYPES, parse_text
from dragoman.dialects.wekan.users import require_admin
from dragoman.rules.errors import Invalid, Problem
from dragoman.web import bodies
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse


async def create(call: Call) -> Response:
    """POST /api/createtoken/:id: create a token for the caller or an active user of lower rank."""
    require_admin(call)
    id_or_username = call.path_params["id"]
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=id_or_username, username=id_or_username)
        credential = await tokens.issue(tx, call.directory, user.id, CREDENTIAL_FORMAT)
    return MsgspecResponse(200, {"_id": user.public_id, "authToken": credential.secret})


async def revoke(call: Call) -> Response:
    """POST /api/deletetoken: revoke one token of a user, or all if the body names none."""
    require_admin(call)
    body = await bodies.read_fields(call.request, MEDIA_TYPES)
    id_or_username, id_problems = parse_text(body, "userId")
    secret, secret_problems = parse_text(body, "token")
    problems = id_problems + secret_problems
    if not id_or_username and not problems:
        problems.append(Problem("userId", "required"))
    if problems:
        raise Invalid(*problems)
    async with call.begin() as tx:
        user = await user_lists.find(tx, public_id=id_or_username, username=id_or_username)
        await tokens.revoke(tx, user.id, secret=secret)
    return MsgspecResponse(200, {"message": "Success"})
