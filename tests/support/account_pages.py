"""The ways to the pages behind mailed links: vsay's invitations and wiwebb's password resets."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec

from tests.support.databases import settings_for
from tests.support.mail_servers import MailServer, mail_server
from tests.support.mailbox import text_of
from tests.support.running_app import running_client
from tests.support.world import API, World

NORA = "nora@example.com"
MIA = "mia@acme.test"
PASSWORD = "violet-Kettle-42"
LINK = re.compile(r"https?://[^\s\"'<>]+")
RESET_SENT_BODY = {"detail": "Password reset e-mail has been sent."}


class AcceptPageTest(msgspec.Struct):
    """A running application, the mail server that it sends to, and who lives there."""

    client: httpx.AsyncClient
    server: MailServer
    world: World
    database: str

    def authorization(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.world.people[name].tokens['vsay']}"}

    async def invite(self, email: str = NORA, by: str = "olga", **fields: Any) -> str:
        """Invite somebody and return the link in the mail."""
        body = {"email": email, "role": "member", **fields}
        answer = await self.client.post("/users/invite", json=body, headers=self.authorization(by))
        assert answer.status_code == 201, answer.text
        return await self.link(email)

    async def link(self, email: str = NORA) -> str:
        mail = await self.server.next_mail_to(email)
        assert mail is not None
        (link,) = LINK.findall(text_of(mail))
        return link

    async def fill_in(self, link: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Send the page's form, as a browser does."""
        return await self.client.post(link, data={"name": "", "password": password, **fields})

    async def signs_in(self, email: str = NORA, password: str = PASSWORD) -> httpx.Response:
        return await self.client.post("/auth/login", json={"email": email, "password": password})


@contextlib.asynccontextmanager
async def accept_page_test(
    seeded_database: tuple[str, World], **settings: Any
) -> AsyncGenerator[AcceptPageTest]:
    database, world = seeded_database
    with mail_server() as server:
        changed = settings_for(database, smtp_url=server.url, **settings)
        async with running_client(changed) as client:
            yield AcceptPageTest(client, server, world, database)


async def request_reset(client: httpx.AsyncClient, email: str = MIA) -> httpx.Response:
    return await client.post(f"{API}/auth/password/reset/", json={"email": email})


async def request_reset_link(
    client: httpx.AsyncClient, server: MailServer, email: str = MIA
) -> str:
    """Ask for a reset and return the link in the mail."""
    assert (await request_reset(client, email)).json() == RESET_SENT_BODY
    mail = await server.next_mail_to(email)
    assert mail is not None
    (link,) = LINK.findall(text_of(mail))
    return link
