"""What is left of a user who came and went by this contract."""

from __future__ import annotations

import pytest

from tests.support.databases import audit_rows, query, settings_for
from tests.support.running_app import running_client
from tests.support.world import World

pytestmark = pytest.mark.anyio

EMAIL, WORD = "passing@fresh.test", "userspassword"


async def test_created_and_deleted(seeded_database: tuple[str, World]) -> None:
    """The history names actor, contract and fields, no values; the row stays, and its address."""
    database, world = seeded_database
    olga = world.people["olga"]
    headers = {"Authorization": f"Bearer {olga.tokens['binacle']}"}
    ((last,),) = await query(database, "SELECT max(id) FROM audit")
    async with running_client(settings_for(database)) as client:
        body = {"email": EMAIL, "password": WORD}
        answer = await client.post("/binacle/api/users", json=body, headers=headers)
        assert answer.status_code == 201
        answer = await client.delete(f"/binacle/api/users/{EMAIL}", headers=headers)
        assert answer.status_code == 204
    where = f"email = '{EMAIL}'"
    rows = await query(database, f"SELECT id, username, deleted_at FROM users WHERE {where}")
    ((user_id, username, deleted_at),) = rows
    assert username == EMAIL
    assert deleted_at > 0
    created, deleted = await audit_rows(database, last)
    for row, action in ((created, "users.create"), (deleted, "users.delete")):
        assert (row.contract, row.action, row.target_id) == ("binacle", action, user_id)
        assert row.actor_id == olga.id
    assert {"username", "email", "role", "active"} <= set(created.fields.split())
    said = " ".join(
        str(cell) for row in await query(database, "SELECT * FROM audit") for cell in row
    )
    assert EMAIL not in said
    assert WORD not in said
