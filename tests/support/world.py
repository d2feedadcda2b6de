"""The world in which most tests play: two tenants and everyone who matters, made by HTTP.

| name | stands for |
|---|---|
| root | the first superadmin, ``admin`` |
| ada | an admin of the platform, without a tenant |
| olga, otto | the two owners of acme |
| mia | a subscriber of acme |
| vic | a viewer of acme |
| idle | a subscriber of acme who is switched off, and has never signed in |
| gil, gus | owner and subscriber of globex |
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from dragoman import app, dialects
from dragoman.actions import user_lists
from dragoman.actions.steps.credentials import mint
from dragoman.actions.system import system_actor
from dragoman.settings import Settings
from tests.support import viewers
from tests.support.running_app import running_client

API = "/api/v1"
PASSWORD = "violet-Kettle-42"
"""Everybody's."""

PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"role": "admin", "first_name": "Ada", "last_name": "Lund"},
    "olga": {"role": "tenant_owner", "tenant": "acme", "first_name": "Olga", "last_name": "Orlov"},
    "otto": {"role": "tenant_owner", "tenant": "acme", "first_name": "Otto", "last_name": "Ode"},
    "mia": {"role": "subscriber", "tenant": "acme", "first_name": "Mia", "last_name": "Marsh"},
    "gil": {"role": "tenant_owner", "tenant": "globex", "first_name": "Gil", "last_name": "Gray"},
    "gus": {"role": "subscriber", "tenant": "globex", "first_name": "Gus", "last_name": "Grove"},
    "idle": {"role": "subscriber", "tenant": "acme", "is_active": False},
}
TENANTS = {
    "acme": {"name": "ACME Corporation", "slug": "acme", "email": "office@acme.test"},
    "globex": {"name": "Globex", "slug": "globex", "email": "office@globex.test"},
}
MISSING_USER_ID = 987_654_321
"""An id that nobody has."""


class Person(msgspec.Struct, frozen=True):
    """Somebody of the world; ``token`` is a wiwebb credential, empty for who cannot sign in.

    ``tokens`` are credentials by contract.
    """

    id: int
    username: str
    email: str
    token: str
    password: str = PASSWORD
    public_id: str = ""
    tokens: dict[str, str] = {}


class WorldTenant(msgspec.Struct, frozen=True):
    """A tenant of the world."""

    id: int
    uuid: str
    name: str
    slug: str


class World(msgspec.Struct, frozen=True):
    """Who and what there is, by the names of the table above."""

    people: dict[str, Person]
    tenants: dict[str, WorldTenant]

    def variables(self) -> dict[str, str]:
        """Return everything under the names that transcripts use: ``mia``, ``mia.email``, …."""
        found: dict[str, str] = {"unknown": str(MISSING_USER_ID), "password": PASSWORD}
        things: dict[str, Person | WorldTenant] = {**self.people, **self.tenants}
        for name, thing in things.items():
            found[name] = str(thing.id)
            for field in thing.__struct_fields__:
                if field != "tokens":
                    found[f"{name}.{field}"] = str(getattr(thing, field))
        return found


async def build(settings: Settings) -> World:
    """Fill an empty database with the world, through its own front door."""
    await app.migrate_and_bootstrap(settings)
    async with running_client(settings) as client:
        world = await _create_people(client, settings)
    acme = world.tenants["acme"].id
    vic = await viewers.make_viewer(settings, "vic", "vic@acme.test", PASSWORD, tenant_id=acme)
    async with running_client(settings) as client:
        token = await sign_in(client, "vic", PASSWORD)
    person = Person(id=vic, username="vic", email="vic@acme.test", token=token)
    people = await _issue_credentials(settings, {**world.people, "vic": person})
    return World(people=people, tenants=world.tenants)


async def _issue_credentials(settings: Settings, people: dict[str, Person]) -> dict[str, Person]:
    """Give everybody who can sign in a credential of every contract."""
    kinds = {name: app.credential_format(name) for name in dialects.NAMES if name != "wiwebb"}
    equipped: dict[str, Person] = {}
    async with app.open_directory(settings) as directory:
        for name, person in people.items():
            tokens = {"wiwebb": person.token} if person.token else {}
            async with directory.begin(system_actor("tests")) as tx:
                user = await user_lists.get(directory.read(system_actor("tests")), person.id)
                for contract, kind in kinds.items():
                    if user.active:
                        tokens[contract] = (await mint(tx, directory, user, kind)).secret
            equipped[name] = msgspec.structs.replace(
                person, public_id=user.public_id, tokens=tokens
            )
    return equipped


async def _create_people(client: httpx.AsyncClient, settings: Settings) -> World:
    token = await sign_in(client, settings.admin_username, settings.admin_password)
    by_root = {"Authorization": f"Token {token}"}
    tenants: dict[str, WorldTenant] = {"main": await _main_tenant(client, by_root, settings)}
    for name, body in TENANTS.items():
        answer = await client.post(f"{API}/tenants/", json=body, headers=by_root)
        made = _created(answer)
        tenants[name] = WorldTenant(made["id"], made["uuid"], made["name"], made["slug"])
    root = (await client.get(f"{API}/auth/user/", headers=by_root)).json()
    people = {"root": Person(root["id"], root["username"], root["email"], token)}
    for name, told in PEOPLE.items():
        home = told.get("tenant")
        domain = f"{home}.test" if home else "platform.test"
        body = {**told, "username": name, "email": f"{name}@{domain}", "password": PASSWORD}
        if home:
            body["tenant"] = tenants[home].id
        made = _created(await client.post(f"{API}/users/", json=body, headers=by_root))
        key = await sign_in(client, name, PASSWORD) if told.get("is_active", True) else ""
        people[name] = Person(made["id"], name, made["email"], key)
    return World(people=people, tenants=tenants)


async def _main_tenant(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> WorldTenant:
    listed = (await client.get(f"{API}/tenants/", headers=headers)).json()["results"]
    found = next(tenant for tenant in listed if tenant["slug"] == settings.tenant)
    return WorldTenant(found["id"], found["uuid"], found["name"], found["slug"])


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> str:
    """Sign in at wiwebb and return the token."""
    body = {"username": name, "password": password}
    answer = await client.post(f"{API}/auth/login/", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["key"]


def _created(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
    return answer.json()
