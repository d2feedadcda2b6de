"""The five contracts as their clients know them: one small client each, with the same verbs.

A verb that a contract does not have is missing from its client: ``can(client, "rename")`` says so.
What a contract shows of a person is told in one form, ``Seen``; what it does not show is None.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec

from dragoman import dialects
from tests.support import user_requests
from tests.support.databases import query
from tests.support.user_requests import ContractRequest

InvitationSecret = Callable[[str], Awaitable[str]]
"""Gives the secret of the invitation that was sent to an address: what its mail would say."""

MOUNTS = ("prefix", "host", "root")
NAMES = {"first_name": "Nora", "last_name": "Nash"}
"""Of every user that is created."""


class Person(msgspec.Struct):
    """Somebody as a client knows it."""

    id: int
    public_id: str
    username: str
    email: str
    password: str
    approved: bool = True


class ShownUser(msgspec.Struct, frozen=True):
    """What a contract shows of a person; None where it does not say."""

    username: str | None = None
    email: str | None = None
    name: str | None = None
    active: bool | None = None
    owner: bool | None = None


class RefusedResponse(Exception):
    """An answer that is no success."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code}")
        self.status = answer.status_code


class Client:
    """A contract's client, by one of the three ways in.

    Args:
        http: talks to a served application.
        way: ``prefix``, ``host`` or ``root``.
        credential: by which it speaks; empty for nobody.
    """

    name = ""
    scheme = "Bearer"

    def __init__(self, http: httpx.AsyncClient, mount: str, credential: str = "") -> None:
        self.http = http
        self.mount = mount
        self.credential = credential

    def with_credential(self, credential: str) -> Any:
        """Return the same client with another credential."""
        return type(self)(self.http, self.mount, credential)

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return what came back as JSON; raises Refused."""
        headers = {"Authorization": f"{self.scheme} {self.credential}"} if self.credential else {}
        if self.mount == "host":
            headers["Host"] = f"{self.name}.example.com"
        url = f"/{self.name}{path}" if self.mount == "prefix" else path
        answer = await self.http.request(method, url, headers=headers, json=body)
        if not answer.is_success:
            raise RefusedResponse(answer)
        return answer.json() if answer.content else None

    async def send(self, request: ContractRequest) -> Any:
        """Send a request of the shared table, with the credential unless it is anonymous."""
        speaker = self.with_credential("") if request.anonymous else self
        return await speaker.request(request.method, request.path, request.body)

    async def sign_in(self, person: Person) -> str:
        """Sign somebody in and return the credential."""
        name = user_requests.login_name(self.name, person)
        request = user_requests.sign_in(self.name, name, person.password)
        return user_requests.credential_in(self.name, await self.send(request))

    async def delete(self, person: Person) -> None:
        """Delete somebody; raises RefusedResponse."""
        await self.send(user_requests.delete(self.name, person))

    async def find_user(self, person: Person) -> ShownUser | None:
        """Return what is shown of somebody, None where there is nobody."""
        try:
            return await self.see(person)
        except RefusedResponse as error:
            if error.status == 404:
                return None
            raise

    async def see(self, person: Person) -> ShownUser:
        """Look at somebody; raises Refused."""
        raise NotImplementedError

    async def is_accepted(self, person: Person) -> bool:
        """Say whether the own credential is taken."""
        try:
            await self.probe(person)
        except RefusedResponse as error:
            if error.status == 401:
                return False
            if error.status >= 500:
                raise
        return True

    async def probe(self, person: Person) -> None:
        """Ask for something that takes a credential."""
        raise NotImplementedError


CLOSED = frozenset(
    name for name in dialects.NAMES if dialects.load(name).CONTRACT.restrictions.approved_only
)
"""The contracts that know approved people only."""


def exists_at(contract: str, person: Person) -> bool:
    """Say whether a person exists at a contract."""
    return person.approved or contract not in CLOSED


def can(client: Any, verb: str) -> bool:
    """Say whether a contract has a verb."""
    return hasattr(client, verb)


class WiWebb(Client):
    """The full life cycle, by ids."""

    name, scheme = "wiwebb", "Token"
    tenant = 0

    def with_credential(self, credential: str) -> WiWebb:
        other = super().with_credential(credential)
        other.tenant = self.tenant
        return other

    async def create(self, person: Person, _: InvitationSecret) -> None:
        more = {"role": "subscriber", "tenant": self.tenant, **NAMES}
        await self.send(user_requests.create(self.name, person, **more))

    async def see(self, person: Person) -> ShownUser:
        shown = await self.request("GET", f"/api/v1/users/{person.id}/")
        return ShownUser(
            username=shown["username"],
            email=shown["email"],
            name=f"{shown['first_name']} {shown['last_name']}".strip(),
            active=shown["is_active"],
            owner=shown["role"] == "tenant_owner",
        )

    async def everybody(self) -> set[str]:
        page = await self.request("GET", f"/api/v1/users/?page_size=100&tenant={self.tenant}")
        return {user["username"] for user in page["results"]}

    async def rename(self, person: Person, first: str, last: str) -> None:
        body = {"first_name": first, "last_name": last}
        await self.request("PATCH", f"/api/v1/users/{person.id}/", body)

    async def move(self, person: Person, email: str) -> None:
        await self.request("PATCH", f"/api/v1/users/{person.id}/", {"email": email})

    async def switch(self, person: Person, *, active: bool) -> None:
        await self.send(user_requests.set_active(self.name, person, active=active))

    async def set_password(self, person: Person, password: str) -> None:
        await self.send(user_requests.set_password(self.name, person, password))

    async def promote(self, person: Person, *, owner: bool) -> None:
        await self.send(user_requests.set_owner(self.name, person, owner=owner))

    async def probe(self, person: Person) -> None:
        await self.request("GET", "/api/v1/auth/user/")


class Accounts(Client):
    """Sign-up and a profile, by ids."""

    name, scheme = "accounts", "Token"

    async def create(self, person: Person, _: InvitationSecret) -> None:
        await self.send(user_requests.sign_up(self.name, person, **NAMES))
        person.approved = False

    async def see(self, person: Person) -> ShownUser:
        shown = await self.request("GET", f"/api/users/{person.id}")
        return ShownUser(
            username=shown["username"],
            email=shown["email"],
            name=f"{shown['first_name']} {shown['last_name']}".strip(),
        )

    async def everybody(self) -> set[str]:
        page = await self.request("GET", "/api/users?limit=100")
        return {user["username"] for user in page["results"]}

    async def rename(self, person: Person, first: str, last: str) -> None:
        body = {"first_name": first, "last_name": last}
        await self.request("PUT", f"/api/users/{person.id}", body)

    async def move(self, person: Person, email: str) -> None:
        await self.request("PUT", f"/api/users/{person.id}", {"email": email})

    async def set_password(self, person: Person, password: str) -> None:
        await self.send(user_requests.set_password(self.name, person, password))

    async def probe(self, person: Person) -> None:
        await self.request("GET", f"/api/users/{person.id}")


class Binacle(Client):
    """By e-mail address; it shows nobody."""

    name = "binacle"

    async def create(self, person: Person, _: InvitationSecret) -> None:
        person.username = person.email
        await self.send(user_requests.create(self.name, person))

    async def switch(self, person: Person, *, active: bool) -> None:
        await self.send(user_requests.set_active(self.name, person, active=active))

    async def set_password(self, person: Person, password: str) -> None:
        await self.send(user_requests.set_password(self.name, person, password))

    async def promote(self, person: Person, *, owner: bool) -> None:
        await self.send(user_requests.set_owner(self.name, person, owner=owner))

    async def probe(self, person: Person) -> None:
        await self.request("PUT", "/api/users/nobody-at-all@example.com", {"type": "User"})


class Wekan(Client):
    """By public ids; administrators only."""

    name = "wekan"

    async def create(self, person: Person, _: InvitationSecret) -> None:
        await self.send(user_requests.create(self.name, person))

    async def see(self, person: Person) -> ShownUser:
        shown = await self.request("GET", f"/api/users/{person.public_id}")
        return ShownUser(
            username=shown["username"],
            email=shown["emails"][0]["address"],
            active=not shown.get("loginDisabled", False),
            owner=shown["isAdmin"],
        )

    async def everybody(self) -> set[str]:
        return {user["username"] for user in await self.request("GET", "/api/users")}

    async def switch(self, person: Person, *, active: bool) -> None:
        await self.send(user_requests.set_active(self.name, person, active=active))

    async def probe(self, person: Person) -> None:
        await self.request("GET", "/api/user")


class Vsay(Client):
    """By invitation."""

    name = "vsay"

    async def create(self, person: Person, secret: InvitationSecret) -> None:
        person.username = person.email
        await self.send(user_requests.invite(person.email, " ".join(NAMES.values())))
        await self.send(user_requests.accept(await secret(person.email), person.password))

    async def see(self, person: Person) -> ShownUser:
        shown = (await self.request("GET", f"/users/usr_{person.public_id}"))["data"]
        return ShownUser(
            email=shown["email"],
            name=shown["name"],
            active=shown["status"] == "active",
            owner=shown["role"] == "admin",
        )

    async def everybody(self) -> set[str]:
        data = (await self.request("GET", "/users?limit=100"))["data"]
        return {user["email"] for user in data["users"]}

    async def rename(self, person: Person, first: str, last: str) -> None:
        await self.request("PUT", f"/users/usr_{person.public_id}", {"name": f"{first} {last}"})

    async def promote(self, person: Person, *, owner: bool) -> None:
        await self.send(user_requests.set_owner(self.name, person, owner=owner))

    async def probe(self, person: Person) -> None:
        await self.request("GET", "/auth/me")


CLIENTS: dict[str, Any] = {
    c.name: c for c in (Accounts, Binacle, Vsay, Wekan, WiWebb) if c.name in dialects.NAMES
}
HOSTS = {f"{name}.example.com": name for name in CLIENTS}


async def sign_in_everywhere(
    http: httpx.AsyncClient, mount: str, admin: Person, tenant: int
) -> dict[str, Any]:
    """Sign an administrator in at every contract; returns the clients that speak for it."""
    clients: dict[str, Any] = {}
    for name, client_class in CLIENTS.items():
        client = client_class(http, mount)
        if isinstance(client, WiWebb):
            client.tenant = tenant
        clients[name] = client.with_credential(await client.sign_in(admin))
    return clients


async def load_ids(database: str, person: Person) -> None:
    """Learn the ids of somebody who was just made."""
    where = f"email = '{person.email}' AND deleted_at IS NULL"
    ((person.id, person.public_id),) = await query(
        database, f"SELECT id, public_id FROM users WHERE {where}"
    )
