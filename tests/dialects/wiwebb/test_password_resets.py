"""A forgotten password, from the request by way of a real mail to the page and a new session."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.account_pages import (
    LINK,
    MIA,
    RESET_SENT_BODY,
    request_reset,
    request_reset_link,
)
from tests.support.databases import ADMIN_PASSWORD, SECRET_KEY, query, settings_for
from tests.support.mail_servers import mail_server
from tests.support.mailbox import mailbox, text_of
from tests.support.running_app import running_client
from tests.support.server import running_server
from tests.support.world import API, PASSWORD, World, sign_in

pytestmark = pytest.mark.anyio

NEW = "Another-Secret-77"


async def fill_in(
    client: httpx.AsyncClient, link: str, first: str = NEW, second: str = ""
) -> httpx.Response:
    """Send the page's form, as a browser does."""
    form = {"new_password1": first, "new_password2": second or first}
    return await client.post(link, data=form)


def authorization(world: World, name: str) -> dict[str, str]:
    return {"Authorization": f"Token {world.people[name].token}"}


def without_request_id(response: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [pair for pair in response.headers.items() if pair[0] != "x-request-id"]
    return response.status_code, response.content, headers


async def test_the_whole_way(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with running_client(settings_for(database, smtp_url=server.url)) as client:
            link = await request_reset_link(client, server)
            first, second = await client.get(link), await client.get(link)
            assert first.status_code == second.status_code == 200
            assert first.content == second.content, "a look uses nothing up"
            assert (await client.head(link)).status_code == 200
            done = await fill_in(client, link)
            assert done.status_code == 200
            assert "Your new password is set" in done.text
            old = await client.get(f"{API}/auth/user/", headers=authorization(world, "mia"))
            assert old.status_code == 401
            assert await sign_in(client, "mia", NEW)
            refused = await client.post(
                f"{API}/auth/login/", json={"username": "mia", "password": PASSWORD}
            )
            assert refused.status_code == 400
            assert (await client.get(link)).status_code == 404
            assert (await fill_in(client, link, "Yet-Another-88")).status_code == 404
            assert await sign_in(client, "mia", NEW)
    (mail,) = server.mails
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    links = [LINK.findall(body.get_content()) for body in bodies if body is not None]
    assert links == [[link], [link]]
    assert link.startswith("http://127.0.0.1:8000/wiwebb/reset/")


async def test_the_page_keeps_to_itself(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with running_client(settings_for(database, smtp_url=server.url)) as client:
            link = await request_reset_link(client, server)
            pages = [
                await client.get(link),
                await fill_in(client, link, "short"),
                await client.get(link + "x"),
                await client.post(link, content=b"{}", headers={"Content-Type": "text/x"}),
                await fill_in(client, link),
            ]
    assert [page.status_code for page in pages] == [200, 400, 404, 415, 200]
    secret = link.rpartition("/")[2]
    for page in pages:
        headers = page.headers
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        rules = headers["Content-Security-Policy"]
        assert "default-src 'none'" in rules
        assert "frame-ancestors 'none'" in rules
        assert "unsafe" not in rules
        style = page.text.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules
        assert "script" not in page.text
        assert "http" not in page.text.lower(), "nothing is loaded, nothing is linked"
        assert secret not in page.text
        assert not re.search(r"\son\w+=|\sstyle=", page.text)


async def test_errors_are_shown_in_words_and_use_nothing_up(
    seeded_database: tuple[str, World],
) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with running_client(settings_for(database, smtp_url=server.url)) as client:
            link = await request_reset_link(client, server)
            cases: list[tuple[tuple[str, str], str]] = [
                ((NEW, NEW + "x"), "The two password fields didn&#39;t match."),
                (("aB3$xyz", "aB3$xyz"), "This password is too short."),
                (("password", "password"), "This password is too common."),
                ((MIA, MIA), "The password is too similar to the email address."),
            ]
            for (first, second), said in cases:
                page = await fill_in(client, link, first, second)
                assert page.status_code == 400
                assert said in page.text
                assert f'value="{first}"' not in page.text, "no password is sent back"
            empty = await client.post(link, data={})
            assert empty.status_code == 400
            assert empty.text.count("This field is required.") == 2
            large = await fill_in(client, link, "x" * 300_000)
            assert large.status_code == 413
            assert "could not be read" in large.text
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
                broken = await client.post(
                    link, content=b"\xff\xfe=%ff", headers={"Content-Type": kind}
                )
                assert broken.status_code == 400
            multipart: Any = {"new_password1": (None, NEW), "new_password2": (None, NEW)}
            assert (await client.post(link, files=multipart)).status_code == 200


async def test_every_link_that_opens_nothing_reads_the_same(
    seeded_database: tuple[str, World],
) -> None:
    database, world = seeded_database
    with mail_server() as server:
        async with running_client(settings_for(database, smtp_url=server.url)) as client:
            used = await request_reset_link(client, server)
            await fill_in(client, used)
            older = await request_reset_link(client, server, "otto@acme.test")
            newer = await request_reset_link(client, server, "otto@acme.test")
            of_idle = await request_reset_link(client, server, "gus@globex.test")
            body = {"is_active": False}
            gus = world.people["gus"].id
            path = f"{API}/users/{gus}/activate/"
            assert (
                await client.post(path, json=body, headers=authorization(world, "root"))
            ).is_success
            base = used.rsplit("/", 2)[0]
            dead = [
                used, older, of_idle, newer + "x", newer[:-1], newer + newer[-43:],
                f"{base}/nobody/nonsense", f"{base}/{world.people['otto'].id}/x",
                f"{base}/%00/x", f"{base}/%ff/%fe", f"{base}/%F0%9F%98%80/%F0%9F%98%80",
                f"{base}/%ED%A0%80/%ED%A0%80", f"{base}/a%0d%0ab/c%0d%0ad", f"{base}/x/%00",
                newer + "%00", f"{base}/{'x' * 5000}/{'y' * 5000}", f"{base}/%27--/%27%20OR%201",
            ]  # fmt: skip
            answers = [without_request_id(await client.get(link)) for link in dead]
            answers += [without_request_id(await fill_in(client, link)) for link in dead]
            assert {status for status, _, _ in answers} == {404}
            assert {body for _, body, _ in answers} == {answers[0][1]}
            assert {str(headers) for _, _, headers in answers} == {str(answers[0][2])}
            assert (await fill_in(client, newer)).status_code == 200
    assert "no longer valid" in answers[0][1].decode()


async def test_an_expired_link(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with running_client(
            settings_for(database, smtp_url=server.url, reset_hours=1)
        ) as client:
            link = await request_reset_link(client, server)
            real = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: real() + 3_500 * 10**9)
            assert (await client.get(link)).status_code == 200
            monkeypatch.setattr(time, "time_ns", lambda: real() + 3_601 * 10**9)
            assert (await client.get(link)).status_code == 404
            assert (await fill_in(client, link)).status_code == 404


async def test_a_change_of_address_voids_link_and_mail(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with running_client(settings_for(database)) as client:
        await request_reset(client)
        assert await query(database, "SELECT recipient FROM outbox") == [(MIA,)]
        path = f"{API}/users/{world.people['mia'].id}/"
        answer = await client.patch(
            path, json={"email": "m2@acme.test"}, headers=authorization(world, "root")
        )
        assert answer.status_code == 200
        assert await query(database, "SELECT recipient FROM outbox") == []
        assert await query(database, "SELECT id FROM one_time") == []


async def test_an_erased_persons_mail_goes_with_it(seeded_database: tuple[str, World]) -> None:
    database, world = seeded_database
    async with running_client(settings_for(database)) as client:
        await request_reset(client)
        path = f"{API}/users/{world.people['mia'].id}/"
        assert (await client.delete(path, headers=authorization(world, "root"))).status_code == 204
        assert await query(database, "SELECT id FROM outbox") == []
        assert await query(database, "SELECT id FROM one_time") == []


async def test_whoever_asks_learns_nothing(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    async with running_client(settings_for(database)) as client:
        known = await request_reset(client)
        others = [await request_reset(client, e) for e in ("nobody@nowhere.test", "idle@acme.test")]
        assert all(without_request_id(other) == without_request_id(known) for other in others)
        assert await query(database, "SELECT recipient FROM outbox") == [(MIA,)]
        for _ in range(8):
            assert without_request_id(await request_reset(client)) == without_request_id(known)
        rows = await query(
            database, "SELECT count(*) FROM audit WHERE action = 'password_resets.request'"
        )
        assert rows == [(5,)]


async def test_two_who_use_one_link_at_once(seeded_database: tuple[str, World]) -> None:
    database, _ = seeded_database
    with mail_server() as server:
        async with running_client(settings_for(database, smtp_url=server.url)) as client:
            link = await request_reset_link(client, server)
            tries = [f"Another-Secret-{n}" for n in range(60, 64)]
            pages = await asyncio.gather(*(fill_in(client, link, word) for word in tries))
            assert sorted(page.status_code for page in pages) == [200, 404, 404, 404]
            won = next(w for w, page in zip(tries, pages, strict=True) if page.is_success)
            assert await sign_in(client, "mia", won)


async def test_the_real_server_sends_it(database: str, tmp_path: Path) -> None:
    with mailbox() as box:
        environment = {
            "DRAGOMAN_DATABASE": database,
            "DRAGOMAN_SECRET_KEY": SECRET_KEY.hex(),
            "DRAGOMAN_SMTP_URL": box.url,
            "DRAGOMAN_MAIL_FROM": "post@example.com",
            "DRAGOMAN_LOG_LEVEL": "debug",
            "DRAGOMAN_ACCESS_LOG": "on",
        }
        with running_server(environment, tmp_path, "--workers", "2") as server:
            async with httpx.AsyncClient(base_url=server.url) as client:
                token = await sign_in(client, "admin", ADMIN_PASSWORD)
                answer = await client.post(
                    f"/wiwebb{API}/auth/password/reset/", json={"email": "admin@localhost"}
                )
                assert answer.json() == RESET_SENT_BODY
                mail = await box.next_mail_to("admin@localhost")
                assert mail is not None
                (link,) = LINK.findall(text_of(mail))
                assert link.startswith(f"{server.url}/wiwebb/reset/")
                assert (await client.get(link)).status_code == 200
                raw = (await client.get(link.replace("/reset/", "/reset/%00%FF"))).status_code
                assert raw == 404
                assert (await fill_in(client, link)).status_code == 200
                assert (await client.get(link)).status_code == 404
                seen = await client.get(
                    f"{API}/auth/user/", headers={"Authorization": f"Token {token}"}
                )
                assert seen.status_code == 401
                assert await sign_in(client, "admin", NEW)
        said = server.output()
    assert len(box.mails) == 1
    assert '"mail_sent"' in said
    for secret in (link.rpartition("/")[2], token, NEW, ADMIN_PASSWORD, "admin@localhost"):
        assert secret not in said
    assert server.logged("signed_in")[-1]["user"] == 1
