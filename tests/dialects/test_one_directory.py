"""One directory: what is done through one contract is seen through all others, by all three ways.

Somebody who only signed up exists at open contracts, and at closed ones once approved.

Each act of a life is done by every contract that has it, and looked at by every contract that
can show it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from dragoman import app
from dragoman.actions.steps import open_invitations
from dragoman.actions.system import system_actor
from dragoman.settings import Settings
from dragoman.store import invitations
from tests.support.clients import (
    CLIENTS,
    HOSTS,
    MOUNTS,
    InvitationSecret,
    Person,
    RefusedResponse,
    can,
    exists_at,
    load_ids,
    sign_in_everywhere,
)
from tests.support.databases import ADMIN_PASSWORD, query, settings_for
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

PASSWORD = "violet-Kettle-42"
OTHER_PASSWORD = "another-Kettle-43"
ADMIN = Person(1, "", "admin", "admin@localhost", ADMIN_PASSWORD)


@pytest.fixture(params=MOUNTS)
def mount(request: pytest.FixtureRequest) -> str:
    """Each of the three ways in."""
    return request.param


@pytest.fixture
def settings(database: str) -> Settings:
    """All contracts, each with a host of its own besides."""
    return settings_for(database, hosts=HOSTS)


def secret_in(settings: Settings) -> InvitationSecret:
    """Return what tells the secret of the invitation that was sent to an address."""

    async def secret(email: str) -> str:
        where = f"email_key = '{email}' ORDER BY id DESC"
        ((public_id,),) = await query(
            settings.database, f"SELECT public_id FROM invitations WHERE {where} LIMIT 1"
        )
        async with app.open_directory(settings) as directory:
            found = await invitations.find(directory.read(system_actor("tests")), public_id)
            assert found is not None
            return open_invitations.link_secret(directory, found)

    return secret


class AllContracts:
    """Everything that an act needs: the administrator's clients, and how people come in."""

    def __init__(self, database: str, clients: dict[str, Any], secret: InvitationSecret) -> None:
        self.database = database
        self.clients = clients
        self.secret = secret
        self.number = 0

    async def create_person(self, contract: str, **fields: str) -> Person:
        """Let somebody in by a contract."""
        self.number += 1
        name = f"nora{self.number}"
        given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **fields}
        person = Person(0, "", **given)
        await self.clients[contract].create(person, self.secret)
        await load_ids(self.database, person)
        return person

    async def credentials(self, person: Person) -> dict[str, Any]:
        """Sign somebody in where it exists; returns clients that speak for that person."""
        return {
            name: client.with_credential(await client.sign_in(person))
            for name, client in self.clients.items()
            if exists_at(name, person)
        }

    async def check_shown(self, person: Person, **expected: Any) -> None:
        """Look at somebody through every contract that shows people."""
        for name, client in self.clients.items():
            if not exists_at(name, person):
                await self.check_unknown(name, person)
            if name == "binacle" or not exists_at(name, person):
                continue
            seen = await client.find_user(person)
            assert seen is not None, name
            for field, value in expected.items():
                shown = getattr(seen, field)
                assert shown in {None, value}, f"{name} shows {field} {shown!r}, not {value!r}"
            listed = {person.username, person.email} & await client.everybody()
            assert listed, f"{name} does not list {person.username}"

    async def check_gone(self, person: Person) -> None:
        """Nobody sees, lists, lets in or changes somebody any more."""
        for name in self.clients:
            await self.check_unknown(name, person)

    async def check_unknown(self, name: str, person: Person) -> None:
        """A contract does not see, list, let in or change somebody."""
        client = self.clients[name]
        if name != "binacle":
            assert await client.find_user(person) is None, name
            assert not {person.username, person.email} & await client.everybody(), name
        with pytest.raises(RefusedResponse) as refused:
            await client.sign_in(person)
        assert refused.value.status in {400, 401}, name
        with pytest.raises(RefusedResponse) as refused:
            await client.delete(person)
        assert refused.value.status == 404, name

    async def check_revoked(self, sessions: dict[str, Any], person: Person) -> None:
        """No credential of any contract is taken any more."""
        for name, session in sessions.items():
            assert not await session.is_accepted(person), name

    async def check_accepted(self, sessions: dict[str, Any], person: Person) -> None:
        """Every credential is."""
        for name, session in sessions.items():
            assert await session.is_accepted(person), name


@pytest.fixture
async def all_contracts(settings: Settings, mount: str) -> AsyncIterator[AllContracts]:
    """The service, and the first superadmin signed in at every contract."""
    async with running_client(settings) as http:
        ((tenant,),) = await query(settings.database, "SELECT id FROM tenants")
        clients = await sign_in_everywhere(http, mount, ADMIN, tenant)
        yield AllContracts(settings.database, clients, secret_in(settings))


async def test_whoever_comes_in_by_one_is_known_where_it_exists(
    all_contracts: AllContracts,
) -> None:
    for by in CLIENTS:
        person = await all_contracts.create_person(by)
        named = by in {"wiwebb", "accounts", "vsay"}
        await all_contracts.check_shown(
            person,
            username=person.username,
            email=person.email,
            active=True,
            owner=False,
            **({"name": "Nora Nash"} if named else {"name": ""} if by == "binacle" else {}),
        )
        await all_contracts.check_accepted(await all_contracts.credentials(person), person)


async def test_who_signed_up_comes_into_closed_contracts_by_a_role(
    all_contracts: AllContracts,
) -> None:
    person = await all_contracts.create_person("accounts")
    await all_contracts.clients["wiwebb"].promote(person, owner=False)  # the role that it has
    await all_contracts.check_shown(person)
    await all_contracts.clients["wiwebb"].promote(person, owner=True)
    person.approved = True
    await all_contracts.check_shown(person, owner=True)
    await all_contracts.check_accepted(await all_contracts.credentials(person), person)
    await all_contracts.clients["wiwebb"].promote(person, owner=False)
    await all_contracts.check_shown(person, owner=False)


async def test_a_name_is_taken_for_all(all_contracts: AllContracts) -> None:
    person = await all_contracts.create_person("wiwebb")
    for by in CLIENTS:
        for taken in (
            {"username": person.username, "email": "other@example.com"},
            {"username": "other", "email": person.email.upper()},
        ):
            if by in {"binacle", "vsay"} and taken["username"] == person.username:
                continue
            with pytest.raises(RefusedResponse) as refused:
                await all_contracts.create_person(by, **taken)
            assert refused.value.status in {400, 409}, by


async def test_who_is_renamed_by_one_reads_so_in_all(all_contracts: AllContracts) -> None:
    person = await all_contracts.create_person("wiwebb")
    able = [name for name, client in all_contracts.clients.items() if can(client, "rename")]
    assert set(able) == {"wiwebb", "accounts", "vsay"} & CLIENTS.keys()
    for number, by in enumerate(able):
        await all_contracts.clients[by].rename(person, f"Vera{number}", "van der Berg")
        await all_contracts.check_shown(person, name=f"Vera{number} van der Berg")


async def test_an_address_changed_by_one_is_the_address_for_all(
    all_contracts: AllContracts,
) -> None:
    for by in ("wiwebb", "accounts"):
        for made in ("binacle", "wiwebb"):
            person = await all_contracts.create_person(made)
            borrowed = person.username == person.email
            await all_contracts.clients[by].move(person, f"moved-{person.id}@example.com")
            person.email = f"moved-{person.id}@example.com"
            person.username = person.email if borrowed else person.username
            await all_contracts.check_shown(person, email=person.email, username=person.username)
            await all_contracts.check_accepted(await all_contracts.credentials(person), person)


async def test_cut_off_by_one_is_cut_off_at_all(all_contracts: AllContracts) -> None:
    able = [name for name, client in all_contracts.clients.items() if can(client, "switch")]
    assert set(able) == {"wiwebb", "binacle", "wekan"} & CLIENTS.keys()
    for by, back in zip(able, able[1:] + able[:1], strict=True):
        person = await all_contracts.create_person("wekan")
        sessions = await all_contracts.credentials(person)
        await all_contracts.check_accepted(sessions, person)
        await all_contracts.clients[by].switch(person, active=False)
        await all_contracts.check_revoked(sessions, person)
        await all_contracts.check_shown(person, active=False)
        for name, client in all_contracts.clients.items():
            with pytest.raises(RefusedResponse) as refused:
                await client.sign_in(person)
            assert refused.value.status in {400, 401}, name
        await all_contracts.clients[back].switch(person, active=True)
        await all_contracts.check_shown(person, active=True)
        await all_contracts.check_revoked(sessions, person)
        await all_contracts.check_accepted(await all_contracts.credentials(person), person)


async def test_a_password_set_by_one_is_the_password_for_all(all_contracts: AllContracts) -> None:
    person = await all_contracts.create_person("vsay")
    able = [name for name, client in all_contracts.clients.items() if can(client, "set_password")]
    assert set(able) == {"wiwebb", "accounts", "binacle"} & CLIENTS.keys()
    for number, by in enumerate(able):
        sessions = await all_contracts.credentials(person)
        await all_contracts.clients[by].set_password(person, f"{OTHER_PASSWORD}-{number}")
        await all_contracts.check_revoked(sessions, person)
        with pytest.raises(RefusedResponse):
            await all_contracts.clients["wiwebb"].sign_in(person)
        person.password = f"{OTHER_PASSWORD}-{number}"
        await all_contracts.check_accepted(await all_contracts.credentials(person), person)


async def test_a_role_given_by_one_is_the_role_for_all(all_contracts: AllContracts) -> None:
    person = await all_contracts.create_person("binacle")
    able = [name for name, client in all_contracts.clients.items() if can(client, "promote")]
    assert set(able) == {"wiwebb", "binacle", "vsay"} & CLIENTS.keys()
    for by in able:
        sessions = await all_contracts.credentials(person)
        await all_contracts.clients[by].promote(person, owner=True)
        await all_contracts.check_revoked(sessions, person)
        await all_contracts.check_shown(person, owner=True)
        sessions = await all_contracts.credentials(person)
        spare = await all_contracts.create_person("wiwebb")
        await all_contracts.clients["wiwebb"].promote(spare, owner=True)
        await all_contracts.clients[by].promote(person, owner=False)
        await all_contracts.check_revoked(sessions, person)
        await all_contracts.check_shown(person, owner=False)


async def test_who_is_deleted_by_one_is_gone_for_all_and_the_names_are_free(
    all_contracts: AllContracts,
) -> None:
    ids: set[int] = set()
    made = list(CLIENTS)
    for number, (by, maker) in enumerate(zip(made, made[2:] + made[:2], strict=True)):
        names = {"username": f"again{number}", "email": f"again{number}@example.com"}
        person = await all_contracts.create_person(maker, **names)
        sessions = await all_contracts.credentials(person)
        await all_contracts.clients[by if exists_at(by, person) else "wiwebb"].delete(person)
        await all_contracts.check_revoked(sessions, person)
        await all_contracts.check_gone(person)
        heir = await all_contracts.create_person(by, **names)
        assert not {person.id, heir.id} & ids, "an id was given out twice"
        assert person.id != heir.id
        assert person.public_id != heir.public_id
        ids |= {person.id, heir.id}
        await all_contracts.check_revoked(sessions, person)
        for name, client in all_contracts.clients.items():
            if name != "binacle":
                assert await client.find_user(person) is None, name


async def test_a_credential_works_at_its_own_contract_alone(all_contracts: AllContracts) -> None:
    person = await all_contracts.create_person("wiwebb")
    sessions = await all_contracts.credentials(person)
    for name, session in sessions.items():
        for other, client in all_contracts.clients.items():
            if (client.mount, name, other) == ("root", "wekan", "binacle"):
                continue  # that path is wekan's too, and the credential's own contract answers
            works = await client.with_credential(session.credential).is_accepted(person)
            assert works is (name == other), f"{name}'s credential at {other}"
