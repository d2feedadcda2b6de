"""What a contract shows of a person can be sent back, and changes nothing: every kind of person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from dragoman import dialects
from dragoman.actions import tokens
from dragoman.actions.directory import Directory
from dragoman.dialects.binacle import schemas as binacle
from dragoman.rules.model import Role, User
from dragoman.settings import Settings
from dragoman.store import users
from tests.support.databases import query
from tests.support.people import UserRow, insert_users, open_directory, transaction
from tests.support.running_app import running_client
from tests.support.user_requests import headers_of

pytestmark = pytest.mark.anyio

MAIN = 1
LONG = "a" * 60 + "@" + ".".join(["b" * 60] * 3)
KINDS: dict[str, dict[str, Any]] = {
    "nothing but a name": {"username": "plain"},
    "all there is": {
        "username": "full",
        "email": "full@main.test",
        "first_name": "Fuller",
        "last_name": "van der  Full",
        "display_name": "F. v. d. Full",
        "phone": "+49 (0) 221 / 1",
        "bio": "One\n\ttwo\r\n😀",
        "url": "https://full.test/~f?a=1#b",
        "company": "Ärzte & Söhne",
        "location": "Köln",
    },
    "an address as its name": {"username": "as@main.test", "email": "as@main.test"},
    "an address as its name, spelled otherwise": {
        "username": "Two@Main.Test",
        "email": "two@main.test",
    },
    "an address that is too long elsewhere": {"username": LONG, "email": LONG},
    "a name that is free elsewhere": {"username": "Ann Lee! (ops)", "email": "ann@main.test"},
    "a name that could not be given today": {"username": "pаypal", "first_name": "a\u200bb"},
    "an old address": {"username": "old", "email": "old(at)nowhere"},
    "an international address": {"username": "int", "email": "Jörg@Müller.test"},
    "a long name": {"username": "n" * 150, "first_name": "ж" * 150, "last_name": "x" * 150},
    "old texts that are too long": {"username": "far", "phone": "1" * 30, "company": "c" * 120},
    "an old URL": {"username": "web", "url": "www.example.com"},
    "an inactive one": {"username": "off", "email": "off@main.test", "active": False},
    "a viewer": {"username": "vie", "email": "vie@main.test", "role": Role.VIEWER},
    "an owner": {"username": "own", "email": "own@main.test", "role": Role.OWNER},
    "an owner without an address": {"username": "bare", "role": Role.OWNER},
}
ROW_FIELDS = set(UserRow.__struct_fields__)


class People:
    """Everybody of KINDS by name, and credentials for them."""

    def __init__(self, directory: Directory, client: httpx.AsyncClient, database: str) -> None:
        self.directory, self.client, self.database = directory, client, database
        self.users: dict[str, User] = {}

    async def insert(self) -> None:
        """Insert them below all rules: as imports and earlier versions may have."""
        async with transaction(self.directory) as tx:
            for kind, values in KINDS.items():
                row = {name: value for name, value in values.items() if name in ROW_FIELDS}
                (user_id,) = await insert_users(tx, [UserRow(tenant_id=MAIN, **row)])
                more = {name: value for name, value in values.items() if name not in ROW_FIELDS}
                if more:
                    await users.save(tx, await users.get(tx, user_id), more)
                self.users[kind] = await users.get(tx, user_id)

    async def credential(self, contract: str, user_id: int) -> dict[str, str]:
        """Return the header of a new credential."""
        async with transaction(self.directory) as tx:
            spoken = dialects.load(contract).CONTRACT.credential_format
            issued = await tokens.issue(tx, self.directory, user_id, spoken)
        return headers_of(contract, issued.secret)

    async def state(self) -> list[Any]:
        """Return all that is known of everybody, and the length of the history."""
        history = "SELECT count(*) FROM audit WHERE action LIKE 'users.%'"
        everybody = "SELECT * FROM users ORDER BY id"
        return [await query(self.database, text) for text in (everybody, history)]

    async def accepted(self, method: str, path: str, headers: Any, **body: Any) -> None:
        """Send a request that must succeed."""
        answer = await self.client.request(method, path, headers=headers, **body)
        assert answer.is_success, (method, path, body, answer.text)

    async def each(self) -> AsyncIterator[User]:
        """Yield everybody, and check that nothing has changed since."""
        before = await self.state()
        for kind, user in self.users.items():
            yield user
            assert await self.state() == before, kind

    async def shown(self, path: str, headers: Any) -> dict[str, Any]:
        """Return what a contract shows."""
        answer = await self.client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()


@pytest.fixture
async def people(settings: Settings, database: str) -> AsyncIterator[People]:
    async with open_directory(settings) as directory, running_client(settings) as client:
        people = People(directory, client, database)
        await people.insert()
        yield people


async def test_wiwebb(people: People) -> None:
    root = await people.credential("wiwebb", 1)
    async for user in people.each():
        path = f"/wiwebb/api/v1/users/{user.id}/"
        shown = await people.shown(path, root)
        form = {k: "" if value is None else str(value) for k, value in shown.items()}
        for method in ("PUT", "PATCH"):
            await people.accepted(method, path, root, json=shown)
            await people.accepted(method, path, root, data=form)
        for key, value in shown.items():
            await people.accepted("PATCH", path, root, json={key: value})
        if user.active:
            own = await people.credential("wiwebb", user.id)
            await people.accepted("PUT", path, own, json=shown)
            await people.accepted("PUT", "/wiwebb/api/v1/auth/user/", own, json=shown)


async def test_accounts(people: People) -> None:
    root = await people.credential("accounts", 1)
    async for user in people.each():
        path = f"/accounts/api/users/{user.id}"
        shown = await people.shown(path, root)
        await people.accepted("PUT", path, root, json=shown)
        for key, value in shown.items():
            await people.accepted("PUT", path, root, json={key: value})
        if user.active:
            own = await people.credential("accounts", user.id)
            await people.accepted("PUT", path, own, json=await people.shown(path, own))


async def test_vsay(people: People) -> None:
    root = await people.credential("vsay", 1)
    async for user in people.each():
        path = f"/vsay/users/usr_{user.public_id}"
        shown = (await people.shown(path, root))["data"]
        await people.accepted("PUT", path, root, json=shown)
        for key, value in shown.items():
            await people.accepted("PUT", path, root, json={key: value})
        if user.active and user.role is Role.OWNER:
            own = await people.credential("vsay", user.id)
            await people.accepted("PUT", path, own, json=shown)


async def test_wekan(people: People) -> None:
    root = await people.credential("wekan", 1)
    async for user in people.each():
        path = f"/wekan/api/users/{user.public_id}"
        shown = await people.shown(path, root)
        await people.accepted("PUT", path, root, json=shown)
        await people.accepted("PUT", f"/wekan/api/user/{user.public_id}", root, json=shown)


async def test_binacle(people: People) -> None:
    """It shows nothing but a type, in its tokens; who has no address is not there."""
    root = await people.credential("binacle", 1)
    async for user in people.each():
        if user.email and "(at)" not in user.email:
            status = "Active" if user.active else "Inactive"
            body = {"type": binacle.ROLE_NAMES[user.role], "status": status}
            path = f"/binacle/api/users/{user.email}"
            await people.accepted("PUT", path, root, json=body)
            for key, value in body.items():
                await people.accepted("PUT", path, root, json={key: value})
