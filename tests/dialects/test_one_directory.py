"""One directory: what is done through one contract is seen through all others, by all three ways.

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
from tests.dialects.contracts import (
    CLIENTS,
    HOSTS,
    WAYS,
    Person,
    Refused,
    Secret,
    can,
    enter,
    identify,
)
from tests.support.databases import ADMIN_PASSWORD, query, settings_for
from tests.support.running import running

pytestmark = pytest.mark.anyio

PASSWORD = "violet-Kettle-42"
OTHER = "another-Kettle-43"
ADMIN = Person(1, "", "admin", "admin@localhost", ADMIN_PASSWORD)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each of the three ways in."""
    return request.param


@pytest.fixture
def settings(database: str) -> Settings:
    """All contracts, each with a host of its own besides."""
    return settings_for(database, hosts=HOSTS)


def secret_in(settings: Settings) -> Secret:
    """Return what tells the secret of the invitation that was sent to an address."""

    async def secret(email: str) -> str:
        where = f"email_key = '{email}' ORDER BY id DESC"
        ((public_id,),) = await query(
            settings.database, f"SELECT public_id FROM invitations WHERE {where} LIMIT 1"
        )
        async with app.opened(settings) as directory:
            found = await invitations.find(directory.read(system_actor("tests")), public_id)
            assert found is not None
            return open_invitations.secret_of(directory, found)

    return secret


class House:
    """Everything that an act needs: the administrator's clients, and how people come in."""

    def __init__(self, database: str, clients: dict[str, Any], secret: Secret) -> None:
        self.database = database
        self.clients = clients
        self.secret = secret
        self.number = 0

    async def newcomer(self, by: str, **told: str) -> Person:
        """Let somebody in by a contract."""
        self.number += 1
        name = f"nora{self.number}"
        given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **told}
        person = Person(0, "", **given)
        await self.clients[by].create(person, self.secret)
        await identify(self.database, person)
        return person

    async def credentials(self, person: Person) -> dict[str, Any]:
        """Sign somebody in at every contract; returns clients that speak for that person."""
        return {
            name: client.speaking(await client.sign_in(person))
            for name, client in self.clients.items()
        }

    async def look(self, person: Person, **expected: Any) -> None:
        """Look at somebody through every contract that shows people."""
        for name, client in self.clients.items():
            if name == "binacle":
                continue
            seen = await client.seen(person)
            assert seen is not None, name
            for field, value in expected.items():
                shown = getattr(seen, field)
                assert shown in {None, value}, f"{name} shows {field} {shown!r}, not {value!r}"
            listed = {person.username, person.email} & await client.everybody()
            assert listed, f"{name} does not list {person.username}"

    async def gone(self, person: Person) -> None:
        """Nobody sees, lists, lets in or changes somebody any more."""
        for name, client in self.clients.items():
            if name != "binacle":
                assert await client.seen(person) is None, name
                assert not {person.username, person.email} & await client.everybody(), name
            with pytest.raises(Refused) as refused:
                await client.sign_in(person)
            assert refused.value.status in {400, 401}, name
            with pytest.raises(Refused) as refused:
                await client.delete(person)
            assert refused.value.status == 404, name

    async def dead(self, sessions: dict[str, Any], person: Person) -> None:
        """No credential of any contract is taken any more."""
        for name, session in sessions.items():
            assert not await session.works(person), name

    async def alive(self, sessions: dict[str, Any], person: Person) -> None:
        """Every credential is."""
        for name, session in sessions.items():
            assert await session.works(person), name


@pytest.fixture
async def house(settings: Settings, way: str) -> AsyncIterator[House]:
    """The service, and the first superadmin signed in at every contract."""
    async with running(settings) as http:
        ((tenant,),) = await query(settings.database, "SELECT id FROM tenants")
        clients = await enter(http, way, ADMIN, tenant)
        yield House(settings.database, clients, secret_in(settings))


async def test_whoever_comes_in_by_one_is_known_to_all(house: House) -> None:
    for by in CLIENTS:
        person = await house.newcomer(by)
        named = by in {"wiwebb", "accounts", "vsay"}
        await house.look(
            person,
            username=person.username,
            email=person.email,
            active=True,
            owner=False,
            **({"name": "Nora Nash"} if named else {"name": ""} if by == "binacle" else {}),
        )
        await house.alive(await house.credentials(person), person)


async def test_a_name_is_taken_for_all(house: House) -> None:
    person = await house.newcomer("wiwebb")
    for by in CLIENTS:
        for told in (
            {"username": person.username, "email": "other@example.com"},
            {"username": "other", "email": person.email.upper()},
        ):
            if by in {"binacle", "vsay"} and told["username"] == person.username:
                continue
            with pytest.raises(Refused) as refused:
                await house.newcomer(by, **told)
            assert refused.value.status in {400, 409}, by


async def test_who_is_renamed_by_one_reads_so_in_all(house: House) -> None:
    person = await house.newcomer("wiwebb")
    able = [name for name, client in house.clients.items() if can(client, "rename")]
    assert set(able) == {"wiwebb", "accounts", "vsay"} & CLIENTS.keys()
    for number, by in enumerate(able):
        await house.clients[by].rename(person, f"Vera{number}", "van der Berg")
        await house.look(person, name=f"Vera{number} van der Berg")


async def test_an_address_changed_by_one_is_the_address_for_all(house: House) -> None:
    for by in ("wiwebb", "accounts"):
        for made in ("binacle", "wiwebb"):
            person = await house.newcomer(made)
            borrowed = person.username == person.email
            await house.clients[by].move(person, f"moved-{person.id}@example.com")
            person.email = f"moved-{person.id}@example.com"
            person.username = person.email if borrowed else person.username
            await house.look(person, email=person.email, username=person.username)
            await house.alive(await house.credentials(person), person)


async def test_cut_off_by_one_is_cut_off_at_all(house: House) -> None:
    able = [name for name, client in house.clients.items() if can(client, "switch")]
    assert set(able) == {"wiwebb", "binacle", "wekan"} & CLIENTS.keys()
    for by, back in zip(able, able[1:] + able[:1], strict=True):
        person = await house.newcomer("accounts")
        sessions = await house.credentials(person)
        await house.alive(sessions, person)
        await house.clients[by].switch(person, active=False)
        await house.dead(sessions, person)
        await house.look(person, active=False)
        for name, client in house.clients.items():
            with pytest.raises(Refused) as refused:
                await client.sign_in(person)
            assert refused.value.status in {400, 401}, name
        await house.clients[back].switch(person, active=True)
        await house.look(person, active=True)
        await house.dead(sessions, person)
        await house.alive(await house.credentials(person), person)


async def test_a_password_set_by_one_is_the_password_for_all(house: House) -> None:
    person = await house.newcomer("vsay")
    able = [name for name, client in house.clients.items() if can(client, "set_password")]
    assert set(able) == {"wiwebb", "accounts", "binacle"} & CLIENTS.keys()
    for number, by in enumerate(able):
        sessions = await house.credentials(person)
        await house.clients[by].set_password(person, f"{OTHER}-{number}")
        await house.dead(sessions, person)
        with pytest.raises(Refused):
            await house.clients["wiwebb"].sign_in(person)
        person.password = f"{OTHER}-{number}"
        await house.alive(await house.credentials(person), person)


async def test_a_role_given_by_one_is_the_role_for_all(house: House) -> None:
    person = await house.newcomer("binacle")
    able = [name for name, client in house.clients.items() if can(client, "promote")]
    assert set(able) == {"wiwebb", "binacle", "vsay"} & CLIENTS.keys()
    for by in able:
        sessions = await house.credentials(person)
        await house.clients[by].promote(person, owner=True)
        await house.dead(sessions, person)
        await house.look(person, owner=True)
        sessions = await house.credentials(person)
        spare = await house.newcomer("wiwebb")
        await house.clients["wiwebb"].promote(spare, owner=True)
        await house.clients[by].promote(person, owner=False)
        await house.dead(sessions, person)
        await house.look(person, owner=False)


async def test_who_is_deleted_by_one_is_gone_for_all_and_the_names_are_free(house: House) -> None:
    ids: set[int] = set()
    made = list(CLIENTS)
    for number, (by, maker) in enumerate(zip(made, made[2:] + made[:2], strict=True)):
        names = {"username": f"again{number}", "email": f"again{number}@example.com"}
        person = await house.newcomer(maker, **names)
        sessions = await house.credentials(person)
        await house.clients[by].delete(person)
        await house.dead(sessions, person)
        await house.gone(person)
        heir = await house.newcomer(by, **names)
        assert not {person.id, heir.id} & ids, "an id was given out twice"
        assert person.id != heir.id
        assert person.public_id != heir.public_id
        ids |= {person.id, heir.id}
        await house.dead(sessions, person)
        for name, client in house.clients.items():
            if name != "binacle":
                assert await client.seen(person) is None, name


async def test_a_credential_works_at_its_own_contract_alone(house: House) -> None:
    person = await house.newcomer("wiwebb")
    sessions = await house.credentials(person)
    for name, session in sessions.items():
        for other, client in house.clients.items():
            if (client.way, name, other) == ("root", "wekan", "binacle"):
                continue  # that path is wekan's too, and the credential's own contract answers
            works = await client.speaking(session.credential).works(person)
            assert works is (name == other), f"{name}'s credential at {other}"
