"""Permissions of a user at the accounts contract: list, add, remove."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response

from dragoman.actions import permissions
from dragoman.dialects.accounts import schemas
from dragoman.dialects.accounts.errors import answer
from dragoman.dialects.accounts.users import id_of
from dragoman.rules.errors import Problem
from dragoman.rules.model import Permission
from dragoman.web import bodies
from dragoman.web.calls import Call


def _told(granted: Iterable[Permission]) -> Response:
    return answer(200, [schemas.permission_out(permission) for permission in granted])


async def _listed(call: Call) -> tuple[list[int], list[Problem]]:
    lists = frozenset({schemas.PERMISSIONS})  # in a form, the key once for each
    return schemas.permission_ids(await bodies.fields(call.request, lists=lists))


async def listing(call: Call) -> Response:
    """GET /api/users/{id}/permissions: what was granted to the user itself."""
    return _told(await permissions.view(call.read(), id_of(call)))


async def add(call: Call) -> Response:
    """PUT /api/users/{id}/permissions: besides those that it has."""
    ids, problems = await _listed(call)
    async with call.begin() as tx:
        granted = await permissions.grant(tx, id_of(call), ids, problems=problems)
    return _told(granted)


async def remove(call: Call) -> Response:
    """DELETE /api/users/{id}/permissions: the listed ones; without a list, none."""
    ids, problems = await _listed(call)
    async with call.begin() as tx:
        left = await permissions.revoke(tx, id_of(call), ids, problems=problems)
    return _told(left)
