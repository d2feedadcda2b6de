"""People with hashes of other products sign in, and their hash is argon2id afterwards."""

from __future__ import annotations

import pytest

from dragoman import app
from dragoman.actions.directory import Directory
from dragoman.rules import passwords
from dragoman.settings import Settings
from dragoman.store import users
from tests.support.clients import CLIENTS, Person, RefusedResponse
from tests.support.databases import query
from tests.support.hash_vectors import VERIFIED, Vector
from tests.support.people import UserRow, insert_users, make_tenant, transaction
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

CONTRACTS = [name for name in ("accounts", "wiwebb", "vsay") if name in CLIENTS]


def one_of_each_stored_scheme() -> dict[str, Vector]:
    """Return a vector by scheme of the stored form, of those that are not slow where possible."""
    slow = ("1,000,000", "1,300,000", "656000", "600,000", "(Odoo)")
    vectors = sorted(VERIFIED, key=lambda vector: any(word in vector.scheme for word in slow))
    found: dict[str, Vector] = {}
    for vector in vectors:
        found.setdefault(passwords.judge(vector.spelled).scheme, vector)
    return found


async def add_people(
    directory: Directory, contract: str, vectors: dict[str, Vector]
) -> list[Person]:
    """Add a person for each vector, as an import does."""
    tenant_id = await make_tenant(directory, f"home-{contract}")
    rows = [
        UserRow(
            username=f"{contract}-{scheme}",
            email=f"{contract}-{scheme}@example.com",
            tenant_id=tenant_id,
            verified=True,
        )
        for scheme in vectors
    ]
    people: list[Person] = []
    async with transaction(directory) as tx:
        ids = await insert_users(tx, rows)
        for user_id, row, vector in zip(ids, rows, vectors.values(), strict=True):
            await users.set_password_hash(tx, user_id, passwords.judge(vector.spelled).stored)
            people.append(Person(user_id, "", row.username, row.email, vector.password))
    return people


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_every_scheme_opens_and_is_argon2id_afterwards(
    settings: Settings, database: str, contract: str
):
    vectors = one_of_each_stored_scheme()
    assert len(vectors) >= 18
    async with app.open_directory(settings) as directory:
        people = await add_people(directory, contract, vectors)
    async with running_client(settings) as http:
        client = CLIENTS[contract](http, "prefix")
        for person in people:
            wrong = Person(0, "", person.username, person.email, f"{person.password}x")
            if contract == CONTRACTS[0]:  # the others do the same, and each costs a verification
                with pytest.raises(RefusedResponse):
                    await client.sign_in(wrong)
            await client.sign_in(person)
            await client.sign_in(person)
            with pytest.raises(RefusedResponse):
                await client.sign_in(wrong)
    rows = await query(database, "SELECT username, password_hash FROM users")
    hashes = dict(rows)
    for person in people:
        encoded = hashes[person.username]
        assert encoded.startswith("$argon2id$v=19$"), person.username
        assert not passwords.needs_rehash(encoded), person.username
