"""The world in which most tests play: two tenants and everyone who matters, made by the actions.

| name | stands for |
|---|---|
| root | the first superadmin, ``admin`` |
| ada | an admin of the platform, without a tenant |
| olga, otto | the two owners of acme |
| mia | a member of acme |
| vic | a viewer of acme |
| idle | a member of acme who is switched off, and has never signed in |
| gil, gus | owner and member of globex |

No contract makes it, so that every contract can be removed. Everybody but idle has signed in once.
"""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from dragoman import app, dialects
from dragoman.actions import sign_in as sign_in_action
from dragoman.actions import tenants, users
from dragoman.actions.directory import Directory
from dragoman.actions.steps.credentials import mint
from dragoman.actions.system import system_actor
from dragoman.rules.actor import Actor
from dragoman.rules.model import NewUser, Role, Tenant, TenantChanges, User
from dragoman.rules.passwords import PasswordRules
from dragoman.settings import Settings
from dragoman.store import tenants as tenant_store
from dragoman.store import users as user_store

API = "/api/v1"
PASSWORD = "violet-Kettle-42"
"""Everybody's."""

PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"role": Role.ADMIN, "first_name": "Ada", "last_name": "Lund"},
    "olga": {"role": Role.OWNER, "tenant": "acme", "first_name": "Olga", "last_name": "Orlov"},
    "otto": {"role": Role.OWNER, "tenant": "acme", "first_name": "Otto", "last_name": "Ode"},
    "mia": {"role": Role.MEMBER, "tenant": "acme", "first_name": "Mia", "last_name": "Marsh"},
    "gil": {"role": Role.OWNER, "tenant": "globex", "first_name": "Gil", "last_name": "Gray"},
    "gus": {"role": Role.MEMBER, "tenant": "globex", "first_name": "Gus", "last_name": "Grove"},
    "idle": {"role": Role.MEMBER, "tenant": "acme", "active": False},
    "vic": {"role": Role.VIEWER, "tenant": "acme"},
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
    """Fill an empty database with the world."""
    await app.migrate_and_bootstrap(settings)
    async with app.open_directory(settings) as directory:
        by_slug = await _create_tenants(directory)
        people: dict[str, Person] = {}
        system = directory.read(system_actor("tests"))
        found = await user_store.find_with_hash(system, settings.admin_username)
        assert found is not None
        people["root"] = await _person(directory, found[0], settings.admin_password)
        for name, described in PEOPLE.items():
            user = await _create_user(directory, by_slug, name, **described)
            people[name] = await _person(directory, user, PASSWORD)
    worlds_tenants = {
        "main" if slug == settings.tenant else slug: WorldTenant(
            tenant.id, tenant.public_id, tenant.name, tenant.slug
        )
        for slug, tenant in by_slug.items()
    }
    return World(people=people, tenants=worlds_tenants)


async def _create_tenants(directory: Directory) -> dict[str, Tenant]:
    """Return the tenant of the settings and those of the world, by slug."""
    system = system_actor("tests")
    home = await tenant_store.find_by_slug(directory.read(system), directory.settings.tenant)
    assert home is not None
    by_slug = {home.slug: home}
    for slug, described in TENANTS.items():
        async with directory.begin(system) as tx:
            by_slug[slug] = (await tenants.create(tx, TenantChanges(**described))).tenant
    return by_slug


async def _create_user(
    directory: Directory, by_slug: dict[str, Tenant], name: str, **described: Any
) -> User:
    home = described.pop("tenant", None)
    new = NewUser(
        username=name,
        email=f"{name}@{home}.test" if home else f"{name}@platform.test",
        tenant_id=by_slug[home].id if home else None,
        **described,
    )
    return await users.create(directory, system_actor("tests"), new, PASSWORD, PasswordRules())


async def _person(directory: Directory, user: User, password: str) -> Person:
    """Sign somebody in and return it with a credential of every contract."""
    tokens: dict[str, str] = {}
    if user.active:
        *others, first = dialects.NAMES
        credential_format = app.credential_format(first)
        actor = Actor(
            kind="visitor",
            contract=first,
            restrictions=dialects.load(first).CONTRACT.restrictions,
        )
        _, credential = await sign_in_action.sign_in(
            directory, actor, user.username, password, credential_format
        )
        tokens[first] = credential.secret
        async with directory.begin(system_actor("tests")) as tx:
            for contract in others:
                minted = await mint(tx, directory, user, app.credential_format(contract))
                tokens[contract] = minted.secret
    token = tokens.get("wiwebb", "")
    return Person(
        user.id, user.username, user.email, token, public_id=user.public_id, tokens=tokens
    )


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> str:
    """Sign in at wiwebb and return the token."""
    body = {"username": name, "password": password}
    answer = await client.post(f"{API}/auth/login/", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["key"]
