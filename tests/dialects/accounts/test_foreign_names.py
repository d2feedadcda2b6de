"""People with names that other contracts allow: seen, and sent back as they were read."""

from __future__ import annotations

import pytest

from dragoman.actions import users
from dragoman.actions.system import system_actor
from dragoman.app import open_directory
from dragoman.rules.fields import UsernameCharset
from dragoman.rules.model import NewUser
from dragoman.rules.passwords import PasswordRules
from tests.support.databases import settings_for
from tests.support.running_app import running_client
from tests.support.world import PASSWORD, World

pytestmark = pytest.mark.anyio

LONG = f"{'l' * 60}@{'d' * 60}.{'e' * 60}.test"
"""Longer than this contract's texts, and no longer than an e-mail address may be."""


@pytest.mark.parametrize(
    ("username", "email"),
    [
        ("o'brien@names.test", "o'brien@names.test"),
        ("Two Words", "two@names.test"),
        ("nobody's", ""),
        (LONG, LONG),
        ("long", LONG),
    ],
)
async def test_a_whole_object_may_be_sent_back(
    seeded_database: tuple[str, World], username: str, email: str
) -> None:
    """What was read and did not change is not judged by this contract's own alphabet."""
    database, world = seeded_database
    given = settings_for(database)
    new = NewUser(username=username, email=email, tenant_id=world.tenants["acme"].id)
    async with open_directory(given) as directory:
        made = await users.create(
            directory,
            system_actor("tests"),
            new,
            PASSWORD,
            PasswordRules(),
            charset=UsernameCharset.PERMISSIVE,
        )
    by = {"Authorization": f"Token {world.people['olga'].tokens['accounts']}"}
    url = f"/accounts/api/users/{made.id}"
    async with running_client(given) as client:
        read = (await client.get(url, headers=by)).json()
        assert (read["username"], read["email"]) == (username, email)
        answer = await client.put(url, headers=by, json={**read, "first_name": "Changed"})
        assert (answer.status_code, answer.json()) == (200, {**read, "first_name": "Changed"})
        whole = {**read, "password": PASSWORD, "first_name": "Again"}
        answer = await client.put(url, headers=by, json=whole)
        assert (answer.status_code, answer.json()) == (200, {**read, "first_name": "Again"})

        too_long = await client.put(url, headers=by, json={**read, "email": f"x{LONG}"})
        assert too_long.status_code == 400, "a new address keeps to this contract's length"
        assert list(too_long.json()) == ["email"]

        other = await client.put(url, headers=by, json={"username": "two words"})
        assert other.status_code == 400, "a new name keeps to this contract's alphabet"
        for name in filter(None, (username, email)):
            body = {"username": name, "password": PASSWORD}
            signed_in = await client.post("/accounts/api/users/signin", json=body)
            assert (signed_in.status_code, signed_in.json().get("id")) == (200, made.id), name
