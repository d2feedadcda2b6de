"""Permissions of a user: list, grant, revoke."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response

from dragoman.actions import permissions
from dragoman.dialects.accounts import schemas
from dragoman.dialects.accounts.users import user_id_from_path
from dragoman.rules.errors import Problem
from dragoman.rules.model import Permission
from dragoman.web import bodies
from dragoman.web.calls import Call
from dragoman.web.responses import MsgspecResponse


def _permissions_response(granted: Iterable[Permission]) -> Response:
    return MsgspecResponse(200, [schemas.permission_out(permission) for permission in granted])


async def _permission_ids(call: Call) -> tuple[list[int], list[Problem]]:
    list_fields = frozenset({schemas.PERMISSIONS_KEY})  # a form repeats the key
    return schemas.parse_permission_ids(
        await bodies.read_fields(call.request, list_keys=list_fields)
    )


async def list_permissions(call: Call) -> Response:
    """GET /api/users/{id}/permissions: list the permissions granted to the user directly."""
    return _permissions_response(
        await permissions.list_for_user(call.read(), user_id_from_path(call))
    )


async def grant(call: Call) -> Response:
    """PUT /api/users/{id}/permissions: grant permissions in addition to the present ones."""
    ids, problems = await _permission_ids(call)
    async with call.begin() as tx:
        granted = await permissions.grant(tx, user_id_from_path(call), ids, problems=problems)
    return _permissions_response(granted)


async def revoke(call: Call) -> Response:
    """DELETE /api/users/{id}/permissions: revoke the listed permissions."""
    ids, problems = await _permission_ids(call)
    async with call.begin() as tx:
        remaining = await permissions.revoke(tx, user_id_from_path(call), ids, problems=problems)
    return _permissions_response(remaining)
