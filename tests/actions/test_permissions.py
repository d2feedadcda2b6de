"""Permissions are data: held directly or by group, seen at the next look, and nobody else's."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from dragoman import app
from dragoman.actions import tokens
from dragoman.actions.directory import Directory, machine
from dragoman.actions.tokens import Kind, Presented
from dragoman.rules import secrets
from dragoman.rules.policy import NOTHING_NARROWED, Action, Reach, cell
from dragoman.store.query import Query
from dragoman.store.schema import grants, group_members, group_permissions, groups
from tests.support.databases import settings_for
from tests.support.world import World

pytestmark = pytest.mark.anyio

KIND = Kind(contract="tests", make=secrets.make_hex)


async def credential(directory: Directory, user_id: int) -> Presented:
    async with directory.begin(machine("tests")) as tx:
        secret = await tokens.issue(tx, directory, user_id, KIND)
    return Presented(
        kind=KIND, secret=secret, narrowing=NOTHING_NARROWED, request_id="", address=""
    )


async def test_a_grant_and_a_group_reach_their_holder_and_nobody_else(
    inhabited: tuple[str, World],
) -> None:
    database, world = inhabited
    mia, gus = world.people["mia"].id, world.people["gus"].id
    async with app.opened(settings_for(database)) as directory:
        of_mia = await credential(directory, mia)
        of_gus = await credential(directory, gus)
        async with directory.begin(machine("tests")) as tx:
            await tx.run(
                Query(
                    sa.insert(grants).values(
                        user_id=mia, permission_id=3, granted_by=0, granted_at=tx.now
                    )
                )
            )
            group = await tx.one(
                Query(
                    sa.insert(groups)
                    .values(
                        tenant_id=world.tenants["acme"].id,
                        name="Desk",
                        name_key="desk",
                        created_at=tx.now,
                    )
                    .returning(groups.c.id)
                )
            )
            member = {"user_id": mia, "group_id": group}
            await tx.run(Query(sa.insert(group_members).values(**member)))
            holds = {"group_id": group, "permission_id": 4}
            await tx.run(Query(sa.insert(group_permissions).values(**holds)))

        actor, _, _ = await tokens.authenticate(directory, of_mia)
        assert actor.permissions == {"users.change", "users.delete"}
        assert cell(actor, Action.UPDATE_USER) is Reach.TENANT
        assert cell(actor, Action.SET_PASSWORD) is Reach.NONE

        other, _, _ = await tokens.authenticate(directory, of_gus)
        assert other.permissions == frozenset()
        assert cell(other, Action.UPDATE_USER) is Reach.SELF
