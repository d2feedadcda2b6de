"""Every kind of write that the contracts know, once each, in an order in which all succeed."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from tests.support.user_requests import headers_of, url_of
from tests.support.world import PASSWORD, World

NEW = "kettle-Violet-42"
REFRESH_TOKEN_PLACEHOLDER = "{held}"
"""Stands for the refresh token that was handed out beforehand."""


class Write(msgspec.Struct, frozen=True):
    """One request that writes; ``status`` is its answer when all is well."""

    contract: str
    who: str
    method: str
    path: str
    status: int
    body: dict[str, Any] | None = None


def all_writes(world: World) -> list[Write]:
    """Return them for the world as it is made; ``who`` is empty for nobody."""
    people, tenants = world.people, world.tenants
    mia, vic, idle, gus, otto = (people[n] for n in ("mia", "vic", "idle", "gus", "otto"))
    acme, globex = tenants["acme"].id, tenants["globex"].id

    def named(name: str) -> dict[str, Any]:
        return {"username": name, "email": f"{name}@acme.test", "password": NEW}

    v1, twice = "/api/v1", {"new_password1": NEW, "new_password2": NEW}
    return [
        Write("wiwebb", "root", "POST", f"{v1}/users/", 201,
              {**named("nora"), "role": "subscriber", "tenant": acme}),
        Write("wiwebb", "root", "PATCH", f"{v1}/users/{mia.id}/", 200, {"location": "Oslo"}),
        Write("wiwebb", "root", "POST", f"{v1}/users/{vic.id}/assign-role/", 200,
              {"role": "tenant_owner"}),
        Write("wiwebb", "root", "POST", f"{v1}/users/{idle.id}/activate/", 200,
              {"is_active": True}),
        Write("wiwebb", "root", "POST", f"{v1}/users/{gus.id}/set-password/", 200,
              {"password": NEW}),
        Write("wiwebb", "", "POST", f"{v1}/auth/registration/", 201,
              {"username": "rex", "email": "rex@x.test", "password1": NEW, "password2": NEW}),
        Write("wiwebb", "", "POST", f"{v1}/auth/login/", 200,
              {"username": "mia", "password": PASSWORD}),
        Write("wiwebb", "", "POST", f"{v1}/auth/login/", 400,
              {"username": "mia", "password": "wrong-Kettle-1"}),
        Write("wiwebb", "", "POST", f"{v1}/auth/password/reset/", 200, {"email": mia.email}),
        Write("wiwebb", "gil", "PATCH", f"{v1}/auth/user/", 200, {"first_name": "Gilda"}),
        Write("wiwebb", "gil", "POST", f"{v1}/auth/password/change/", 200,
              {"old_password": PASSWORD, **twice}),
        Write("wiwebb", "ada", "POST", f"{v1}/auth/logout/", 200, {}),
        Write("wiwebb", "root", "POST", f"{v1}/tenants/", 201, {"name": "Initech", "slug": "ini"}),
        Write("wiwebb", "root", "PATCH", f"{v1}/tenants/{globex}/", 200, {"name": "Globex Inc"}),
        Write("accounts", "", "POST", "/api/users/signup", 201,
              {**named("ann"), "first_name": "Ann", "last_name": "Ash"}),
        Write("accounts", "", "POST", "/api/users/signin", 200,
              {"username": "mia", "password": PASSWORD}),
        Write("accounts", "mia", "PUT", f"/api/users/{mia.id}", 200, {"first_name": "Maria"}),
        Write("accounts", "olga", "PUT", f"/api/users/{mia.id}/permissions", 200,
              {"permissions": [1]}),
        Write("accounts", "olga", "DELETE", f"/api/users/{vic.id}/permissions", 200,
              {"permissions": [2]}),
        Write("binacle", "", "POST", "/api/auth/token", 200,
              {"email": mia.email, "password": PASSWORD}),
        Write("binacle", "olga", "POST", "/api/users", 201,
              {"email": "ben@acme.test", "password": NEW}),
        Write("binacle", "olga", "PUT", "/api/users/bea@acme.test", 204, {"status": "Inactive"}),
        Write("binacle", "olga", "PATCH", "/api/users/bea@acme.test", 204, {"newPassword": PASSWORD}),
        Write("binacle", "olga", "DELETE", "/api/users/bea@acme.test", 204),
        Write("wekan", "", "POST", "/users/login", 200, {"username": "mia", "password": PASSWORD}),
        Write("wekan", "", "POST", "/users/register", 200, named("wes")),
        Write("wekan", "olga", "POST", "/api/users", 200, named("wim")),
        Write("wekan", "olga", "PUT", f"/api/users/{vic.public_id}", 200,
              {"action": "enableLogin"}),
        Write("wekan", "olga", "POST", f"/api/createtoken/{mia.public_id}", 200, {}),
        Write("wekan", "olga", "POST", "/api/deletetoken", 200, {"userId": mia.public_id}),
        Write("wekan", "olga", "PUT", f"/api/users/{mia.public_id}", 200,
              {"action": "disableLogin"}),
        Write("wekan", "olga", "DELETE", f"/api/users/{mia.public_id}", 200),
        Write("vsay", "", "POST", "/auth/login", 200, {"email": vic.email, "password": PASSWORD}),
        Write("vsay", "", "POST", "/auth/refresh", 200, {"refresh_token": REFRESH_TOKEN_PLACEHOLDER}),
        Write("vsay", "olga", "POST", "/users/invite", 201,
              {"email": "ivy@acme.test", "name": "Ivy", "role": "member"}),
        Write("vsay", "olga", "PUT", f"/users/usr_{otto.public_id}", 200, {"name": "Otto Oak"}),
        Write("vsay", "olga", "PUT", f"/users/usr_{otto.public_id}/permissions", 200,
              {"machine_access": [{"machine_id": "mch_1", "access_level": "full"}]}),
        Write("vsay", "olga", "DELETE", f"/users/usr_{otto.public_id}", 200),
        Write("vsay", "olga", "POST", "/auth/logout", 200, {}),
    ]  # fmt: skip


def first_writes(world: World) -> list[Write]:
    """Return what some of the others undo; to be done before."""
    vic = world.people["vic"]
    return [
        Write("accounts", "olga", "PUT", f"/api/users/{vic.id}/permissions", 200,
              {"permissions": [2]}),
        Write("binacle", "olga", "POST", "/api/users", 201,
              {"email": "bea@acme.test", "password": NEW}),
        Write("wekan", "olga", "PUT", f"/api/users/{vic.public_id}", 200,
              {"action": "disableLogin"}),
    ]  # fmt: skip


class WriteClient:
    """Sends them to a server."""

    def __init__(self, http: httpx.Client, world: World) -> None:
        self._http = http
        self._world = world
        body = {"email": world.people["olga"].email, "password": PASSWORD}
        self._values = http.post(url_of("vsay", "/auth/login"), json=body).json()

    def send(self, write: Write) -> httpx.Response:
        """Send one."""
        token = self._world.people[write.who].tokens[write.contract] if write.who else ""
        body = write.body
        if body is not None and REFRESH_TOKEN_PLACEHOLDER in body.values():
            body = {"refresh_token": self._values["data"]["refresh_token"]}
        headers = headers_of(write.contract, token)
        return self._http.request(
            write.method, url_of(write.contract, write.path), json=body, headers=headers
        )

    def unexpected_answers(self, writes: list[Write]) -> list[str]:
        """Return what is not answered as when all is well."""
        answers = [(write, self.send(write)) for write in writes]
        return [
            f"{write.contract} {write.method} {write.path}: {answer.status_code} {answer.text}"
            for write, answer in answers
            if answer.status_code != write.status
        ]

    def not_unavailable(self, writes: list[Write]) -> list[str]:
        """Return what is not answered by 503 with Retry-After."""
        answers = [(write, self.send(write)) for write in writes]
        return [
            f"{write.contract} {write.method} {write.path}: {answer.status_code} {answer.text}"
            for write, answer in answers
            if answer.status_code != 503 or not answer.headers.get("Retry-After", "").isdigit()
        ]
