"""The directory's own pages behind mailed links, by way of real mails, without JavaScript."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urljoin

import httpx
import msgspec
import pytest

from dragoman.settings import Settings
from tests.support.mailbox import Mailbox, mailbox, text_of
from tests.support.running_app import running_client

pytestmark = pytest.mark.anyio

ME, THIEF = "me@corp.example", "thief@evil.example"
PASSWORD, NEW_PASSWORD = "violet-Kettle-42", "amber-Teapot-77"
LINK = re.compile(r"https?://[^\s\"'<>]+")
FORM = re.compile(r'<form method="post"(?: action="([^"]*)")?>(.*?)</form>', re.DOTALL)
GONE = "no longer valid"


class Site(msgspec.Struct):
    """A running application, and the mails that it sends."""

    client: httpx.AsyncClient
    box: Mailbox

    async def register(self, username: str = "me", email: str = ME) -> str:
        """Sign up at wiwebb and return the key."""
        body = {"username": username, "email": email, "password1": PASSWORD, "password2": PASSWORD}
        answer = await self.client.post("/wiwebb/api/v1/auth/registration/", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["key"]

    async def link(self, address: str) -> str:
        mail = await self.box.next_mail_to(address)
        assert mail is not None
        (link,) = LINK.findall(text_of(mail))
        return link

    async def me(self, key: str, **changes: str) -> httpx.Response:
        path, headers = "/wiwebb/api/v1/auth/user/", {"Authorization": f"Token {key}"}
        if changes:
            return await self.client.patch(path, json=changes, headers=headers)
        return await self.client.get(path, headers=headers)

    async def sign_in(self, name: str, password: str) -> int:
        body = {"username": name, "password": password}
        return (await self.client.post("/wiwebb/api/v1/auth/login/", json=body)).status_code

    async def send(self, page: httpx.Response, number: int = 0, **fields: str) -> httpx.Response:
        """Fill in one of a page's forms and send it, as a browser does."""
        action, content = FORM.findall(page.text)[number]
        names = set(re.findall(r'<input[^>]*\bname="([^"]+)"', content))
        assert fields.keys() <= names, names
        return await self.client.post(urljoin(str(page.url), action), data=fields or {})


@contextlib.asynccontextmanager
async def running_site(settings: Settings, **changes: Any) -> AsyncGenerator[Site]:
    with mailbox() as box:
        changed = msgspec.structs.replace(settings, smtp_url=box.url, **changes)
        async with running_client(changed) as client:
            yield Site(client, box)


async def test_proof_by_the_link(settings: Settings) -> None:
    """No look uses the link up, the button does; the page is served whatever contracts are."""
    async with running_site(settings) as site:
        await site.register()
        link = await site.link(ME)
        assert re.fullmatch(r"http://127\.0\.0\.1:8000/account/verify/[\w-]{60}", link)
        first, second = await site.client.get(link), await site.client.get(link)
        assert (first.status_code, first.content) == (200, second.content)
        assert ME in first.text
        assert "<script" not in first.text
        assert first.headers["Referrer-Policy"] == "no-referrer"
        assert first.headers["Cache-Control"] == "no-store"
        assert first.headers["Content-Security-Policy"].startswith("default-src 'none'")
        done = await site.send(first)
        assert (done.status_code, "Thank you" in done.text) == (200, True)
        for gone in (await site.client.get(link), await site.send(first)):
            assert (gone.status_code, GONE in gone.text) == (404, True)
    async with running_site(settings, contracts=("binacle",)) as site:
        assert (await site.client.get(link)).status_code == 404
        assert (await site.client.get("/account/verify")).status_code == 200


async def test_a_host_of_a_contract_has_none_of_the_pages(settings: Settings) -> None:
    async with running_site(settings, hosts={"wekan.example.com": "wekan"}) as site:
        for path in ("/account/verify", "/account/password/abc", "/account/undo/abc"):
            answer = await site.client.get(path, headers={"Host": "wekan.example.com"})
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("application/json")
            assert (await site.client.get(path)).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("kind", ["verify", "password", "undo"])
async def test_a_lost_link_is_mailed_again(settings: Settings, kind: str) -> None:
    """With the same answer for known and unknown addresses."""
    async with running_site(settings) as site:
        key = await site.register()
        first_link = await site.link(ME)
        if kind == "undo":
            await site.send(await site.client.get(first_link))
            assert (await site.me(key, email=THIEF)).status_code == 200
            assert "/undo/" in await site.link(ME)
        gone = await site.client.get(f"/account/{kind}/{'x' * 60}")
        assert gone.status_code == 404
        sent = await site.send(gone, email=ME)
        unknown = await site.send(gone, email="nobody@corp.example")
        assert (sent.status_code, sent.text) == (200, unknown.text)
        link = await site.link(ME)
        assert f"/account/{kind}/" in link
        assert (await site.client.get(link)).status_code == 200
        refused = await site.send(gone, email="no address")
        assert (refused.status_code, "Enter a valid email address." in refused.text) == (400, True)
        empty = await site.client.get(f"/account/{kind}/")
        assert (await site.send(empty, email="nobody@corp.example")).text == unknown.text


async def test_an_undone_change_asks_for_a_new_password(settings: Settings) -> None:
    async with running_site(settings) as site:
        key = await site.register(email=ME)
        await site.send(await site.client.get(await site.link(ME)))
        assert (await site.me(key, email=THIEF)).json()["email"] == THIEF
        link = await site.link(ME)
        page = await site.client.get(link)
        assert ME in page.text
        assert THIEF not in page.text
        restored = await site.send(page)
        assert restored.status_code == 200
        assert (await site.me(key)).status_code == 401
        assert await site.sign_in("me", PASSWORD) == 400
        weak = await site.send(restored, password="12345678", repeated_password="12345678")
        assert (weak.status_code, "entirely numeric" in weak.text) == (400, True)
        other = await site.send(weak, password=NEW_PASSWORD, repeated_password=PASSWORD)
        assert (other.status_code, "match" in other.text) == (400, True)
        done = await site.send(other, password=NEW_PASSWORD, repeated_password=NEW_PASSWORD)
        assert (done.status_code, "is set" in done.text) == (200, True)
        assert await site.sign_in(ME, NEW_PASSWORD) == 200
        assert GONE in (await site.client.get(link)).text


async def test_required_proof_at_each_contract_with_a_sign_up(settings: Settings) -> None:
    async with running_site(settings, verify_email="required") as site:
        body = {"username": "me", "email": ME, "password1": PASSWORD, "password2": PASSWORD}
        path = "/wiwebb/api/v1/auth/registration/"
        answer = await site.client.post(path, json=body)
        assert (answer.status_code, answer.json()) == (201, {"detail": "Verification e-mail sent."})
        key = (await site.link(ME)).rpartition("/")[2]
        assert await site.sign_in("me", PASSWORD) == 400
        key = (await site.link(ME)).rpartition("/")[2]
        for given, status, said in (
            ({"key": "wrong"}, 404, {"detail": "Not found."}),
            ({"key": key}, 200, {"detail": "ok"}),
            ({"key": key}, 404, {"detail": "Not found."}),
            ({}, 400, {"key": ["This field is required."]}),
        ):
            answer = await site.client.post(f"{path}verify-email/", json=given)
            assert (answer.status_code, answer.json()) == (status, said)
        assert await site.sign_in("me", PASSWORD) == 200
        body = {"username": "wek", "email": "wek@corp.example", "password": PASSWORD}
        answer = await site.client.post("/wekan/users/register", json=body)
        assert (answer.status_code, answer.json().keys()) == (200, {"id"})
        answer = await site.client.post(
            "/wekan/users/login", json={"username": "wek", "password": PASSWORD}
        )
        wrong = await site.client.post(
            "/wekan/users/login", json={"username": "wek", "password": "wrong"}
        )
        assert (answer.status_code, answer.content) == (401, wrong.content)
        for contract, body in (
            ("wekan/users/register", {"username": "x", "password": PASSWORD}),
            ("accounts/api/users/signup", {"username": "x", "password": PASSWORD}),
        ):
            assert (await site.client.post(f"/{contract}", json=body)).status_code == 400
        for address in (ME, "wek@corp.example", "nobody@corp.example"):
            answer = await site.client.post(f"{path}resend-email/", json={"email": address})
            assert (answer.status_code, answer.json()) == (200, {"detail": "ok"})


async def test_what_no_form_is(settings: Settings) -> None:
    async with running_site(settings) as site:
        await site.register()
        link = await site.link(ME)
        for path in (link, "/account/verify"):
            answer = await site.client.post(path, json={"email": ME})
            assert answer.status_code == 415
            assert (await site.client.put(path)).status_code == 405
        for path in ("/account/nothing", "/account/verify/a/b", "/account/"):
            answer = await site.client.get(path)
            assert (answer.status_code, "Not found" in answer.text) == (404, True)
        for secret in ("%00" * 60, "%ff" * 30, "a" * 5000, "-" * 60):
            answer = await site.client.get(f"/account/undo/{secret}")
            assert (answer.status_code, GONE in answer.text) == (404, True), secret
