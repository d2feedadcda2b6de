"""The five contracts as their clients know them: one small client each, with the same verbs.

A verb that a contract does not have is missing from its client: ``can(client, "rename")`` says so.
What a contract shows of a person is told in one form, ``Seen``; what it does not show is None.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from dragoman import dialects
from tests.support.databases import query

InvitationSecret = Callable[[str], Awaitable[str]]
"""Gives the secret of the invitation that was sent to an address: what its mail would say."""

MOUNTS = ("prefix", "host", "root")


class Person(msgspec.Struct):
    """Somebody as a client knows it."""

    id: int
    public_id: str
    username: str
    email: str
    password: str


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

    async def sign_in(self, person: Person) -> str:
        body = {"username": person.username, "password": person.password}
        return (await self.request("POST", "/api/v1/auth/login/", body))["key"]

    async def create(self, person: Person, _: InvitationSecret) -> None:
        named = {"username": person.username, "email": person.email, "password": person.password}
        fields = {"role": "subscriber", "tenant": self.tenant, "first_name": "Nora"}
        await self.request("POST", "/api/v1/users/", {**named, **fields, "last_name": "Nash"})

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
        await self.request("POST", f"/api/v1/users/{person.id}/activate/", {"is_active": active})

    async def set_password(self, person: Person, password: str) -> None:
        await self.request(
            "POST", f"/api/v1/users/{person.id}/set-password/", {"password": password}
        )

    async def promote(self, person: Person, *, owner: bool) -> None:
        body = {"role": "tenant_owner" if owner else "subscriber"}
        await self.request("POST", f"/api/v1/users/{person.id}/assign-role/", body)

    async def delete(self, person: Person) -> None:
        await self.request("DELETE", f"/api/v1/users/{person.id}/")

    async def probe(self, person: Person) -> None:
        await self.request("GET", "/api/v1/auth/user/")


class Accounts(Client):
    """Sign-up and a profile, by ids."""

    name, scheme = "accounts", "Token"

    async def sign_in(self, person: Person) -> str:
        body = {"username": person.username, "password": person.password}
        return (await self.with_credential("").request("POST", "/api/users/signin", body))["token"]

    async def create(self, person: Person, _: InvitationSecret) -> None:
        named = {"username": person.username, "email": person.email, "password": person.password}
        body = {**named, "first_name": "Nora", "last_name": "Nash"}
        await self.with_credential("").request("POST", "/api/users/signup", body)

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
        await self.request("PUT", f"/api/users/{person.id}", {"password": password})

    async def delete(self, person: Person) -> None:
        await self.request("DELETE", f"/api/users/{person.id}")

    async def probe(self, person: Person) -> None:
        await self.request("GET", f"/api/users/{person.id}")


class Binacle(Client):
    """By e-mail address; it shows nobody."""

    name = "binacle"

    async def sign_in(self, person: Person) -> str:
        body = {"email": person.email, "password": person.password}
        return (await self.with_credential("").request("POST", "/api/auth/token", body))[
            "accessToken"
        ]

    async def create(self, person: Person, _: InvitationSecret) -> None:
        person.username = person.email
        body = {"email": person.email, "password": person.password}
        await self.request("POST", "/api/users", body)

    async def switch(self, person: Person, *, active: bool) -> None:
        await self.request(
            "PUT", binacle_path(person.email), {"status": "Active" if active else "Inactive"}
        )

    async def set_password(self, person: Person, password: str) -> None:
        await self.request("PATCH", binacle_path(person.email), {"newPassword": password})

    async def promote(self, person: Person, *, owner: bool) -> None:
        await self.request(
            "PUT", binacle_path(person.email), {"type": "Admin" if owner else "User"}
        )

    async def delete(self, person: Person) -> None:
        await self.request("DELETE", binacle_path(person.email))

    async def probe(self, person: Person) -> None:
        await self.request("PUT", binacle_path("nobody-at-all@example.com"), {"type": "User"})


def binacle_path(email: str) -> str:
    """Return binacle's path of somebody."""
    return f"/api/users/{quote(email, safe='@')}"


class Wekan(Client):
    """By public ids; administrators only."""

    name = "wekan"

    async def sign_in(self, person: Person) -> str:
        body = {"username": person.username, "password": person.password}
        return (await self.with_credential("").request("POST", "/users/login", body))["token"]

    async def create(self, person: Person, _: InvitationSecret) -> None:
        body = {"username": person.username, "email": person.email, "password": person.password}
        await self.request("POST", "/api/users", body)

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
        action = "enableLogin" if active else "disableLogin"
        await self.request("PUT", f"/api/users/{person.public_id}", {"action": action})

    async def delete(self, person: Person) -> None:
        await self.request("DELETE", f"/api/users/{person.public_id}")

    async def probe(self, person: Person) -> None:
        await self.request("GET", "/api/user")


class Vsay(Client):
    """By invitation."""

    name = "vsay"

    async def sign_in(self, person: Person) -> str:
        body = {"email": person.email, "password": person.password}
        return (await self.with_credential("").request("POST", "/auth/login", body))["data"][
            "token"
        ]

    async def create(self, person: Person, secret: InvitationSecret) -> None:
        person.username = person.email
        invitation_body = {"email": person.email, "name": "Nora Nash", "role": "member"}
        await self.request("POST", "/users/invite", invitation_body)
        path = f"/users/invitations/{await secret(person.email)}/accept"
        await self.with_credential("").request("POST", path, {"password": person.password})

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
        body = {"role": "admin" if owner else "member"}
        await self.request("PUT", f"/users/usr_{person.public_id}", body)

    async def delete(self, person: Person) -> None:
        await self.request("DELETE", f"/users/usr_{person.public_id}")

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
