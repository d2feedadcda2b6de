"""Where races are run: a real server with two workers, and people made past it, by the dozen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from dragoman import app, dialects
from dragoman.actions.directory import Directory
from dragoman.actions.steps import mailed_links, open_invitations
from dragoman.actions.steps.credentials import mint
from dragoman.actions.system import system_actor
from dragoman.rules.credentials import Credential
from dragoman.rules.model import Role
from dragoman.store import invitations, one_time_secrets, users
from tests.faults.mutual_removal import Opponent
from tests.faults.simultaneous import Answer, RaceRequest, send_simultaneously
from tests.support.databases import query, settings_for
from tests.support.people import UserRow, insert_users, make_tenant
from tests.support.server import Server
from tests.support.world import World

T = TypeVar("T")

MAX_RETRIES = 10
"""So often who is put off comes back."""


class RaceServer:
    """The server, its database, and the world in it."""

    def __init__(self, server: Server, database: str, world: World) -> None:
        self.server = server
        self.database = database
        self.world = world
        self._number = 0

    def number(self) -> int:
        """Return a number that was not given before."""
        self._number += 1
        return self._number

    def send_simultaneously(self, requests: Sequence[RaceRequest]) -> list[Answer]:
        """Send requests at the same moment; who is put off comes back when it was told to.

        There is a bounded queue before the hashes, and a busy machine may find it too long.
        """
        answers = send_simultaneously(self.server.port, requests)
        for _ in range(MAX_RETRIES):
            put_off = [n for n, answer in enumerate(answers) if answer.status == 503]
            if not put_off:
                break
            assert all(answers[n].retry_after.isdigit() for n in put_off)
            time.sleep(1)
            again = send_simultaneously(self.server.port, [requests[n] for n in put_off])
            for n, answer in zip(put_off, again, strict=True):
                answers[n] = answer
        return answers

    def deadlocks(self) -> int:
        """Return how often the database had to end a circle of sessions that waited."""
        if self.database.startswith("sqlite:"):
            return 0
        ours = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return self.query(ours)[0][0]

    def request(self, shot: RaceRequest) -> Answer:
        """Send one request."""
        return self.send_simultaneously([shot])[0]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database itself."""
        return asyncio.run(query(self.database, statement))

    def _run(self, work: Callable[[Directory], Awaitable[T]]) -> T:
        async def done() -> T:
            async with app.open_directory(settings_for(self.database)) as directory:
                return await work(directory)

        return asyncio.run(done())

    def create_tenant(self) -> int:
        """Make another tenant."""
        slug = f"arena{self.number()}"
        return self._run(lambda directory: make_tenant(directory, slug))

    def create_opponents(self, count: int, role: Role, tenant: int | None) -> list[Opponent]:
        """Make people who can act through every contract."""
        first = [self.number() for _ in range(count)]
        rows = [
            UserRow(username=f"rival{n}", email=f"rival{n}@race.test", role=role, tenant_id=tenant)
            for n in first
        ]

        async def make(directory: Directory) -> list[Opponent]:
            async with directory.begin(system_actor("tests")) as tx:
                ids = await insert_users(tx, rows)
            return [await _issue_credentials(directory, user_id) for user_id in ids]

        return self._run(make)

    def with_credentials(self, ids: Sequence[int]) -> list[Opponent]:
        """Give people who are there new credentials of every contract."""

        async def equip(directory: Directory) -> list[Opponent]:
            return [await _issue_credentials(directory, user_id) for user_id in ids]

        return self._run(equip)

    def session(self, user_id: int, contract: str) -> Credential:
        """Give somebody a credential of a contract, with all that comes along."""

        async def made(directory: Directory) -> Credential:
            async with directory.begin(system_actor("tests")) as tx:
                user = await users.get(tx, user_id)
                return await mint(tx, directory, user, app.credential_format(contract))

        return self._run(made)

    def invitation(self, email: str, credential: str) -> str:
        """Invite an address at vsay; return the secret of its mail."""
        body = {"email": email, "name": "Nora Nash", "role": "member"}
        answer = self.request(RaceRequest("vsay", "POST", "/users/invite", body, credential))
        assert answer.status == 201, answer
        public_id = answer.json()["data"]["invitation_id"].removeprefix("inv_")

        async def secret(directory: Directory) -> str:
            found = await invitations.find(directory.read(system_actor("tests")), public_id)
            assert found is not None
            return open_invitations.link_secret(directory, found)

        return self._run(secret)

    def reset_link(self, user: Opponent) -> str:
        """Ask at wiwebb for a link to a new password; return the secret in its mail."""
        path = "/api/v1/auth/password/reset/"
        assert (
            self.request(RaceRequest("wiwebb", "POST", path, {"email": user.email})).status == 200
        )

        async def secret(directory: Directory) -> str:
            row = await one_time_secrets.find(
                directory.read(system_actor("tests")), user.id, mailed_links.RESET
            )
            assert row is not None
            return mailed_links.derive_secret(directory, row)

        return self._run(secret)


async def _issue_credentials(directory: Directory, user_id: int) -> Opponent:
    tokens: dict[str, str] = {}
    async with directory.begin(system_actor("tests")) as tx:
        user = await users.get(tx, user_id)
        for name in dialects.NAMES:
            tokens[name] = (await mint(tx, directory, user, app.credential_format(name))).secret
    return Opponent(user.id, user.public_id, user.email, tokens)
