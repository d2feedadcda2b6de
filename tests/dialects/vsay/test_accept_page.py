"""An invitation, by way of a real mail to the page behind its link, and a first sign-in."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from base64 import b64encode
from typing import Any

import httpx
import pytest
from markupsafe import escape

from tests.support.account_pages import LINK, NORA, PASSWORD, accept_page_test
from tests.support.databases import query
from tests.support.world import World

pytestmark = pytest.mark.anyio

INVALID_LINK_TEXT = "no longer valid"


def without_request_id(response: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [pair for pair in response.headers.items() if pair[0] != "x-request-id"]
    return response.status_code, response.content, headers


async def test_the_whole_way(seeded_database: tuple[str, World]) -> None:
    async with accept_page_test(seeded_database) as at:
        link = await at.invite(name="Nora Nash", machine_ids=["mch_7"])
        assert re.fullmatch(r"http://127\.0\.0\.1:8000/vsay/accept/[\w-]{60}", link)
        first, second = await at.client.get(link), await at.client.get(link)
        assert first.status_code == second.status_code == 200
        assert first.content == second.content, "a look uses nothing up"
        assert (await at.client.head(link)).status_code == 200
        for said in ("ACME Corporation", NORA, "<dd>member</dd>", 'value="Nora Nash"'):
            assert said in first.text
        assert (await at.signs_in()).status_code == 401, "an invitation is no user yet"
        done = await at.fill_in(link, name="Nora van Nash")
        assert done.status_code == 200
        assert "Welcome" in done.text
        assert NORA in done.text
        entered = await at.signs_in()
        assert entered.status_code == 200
        assert entered.json()["data"]["user"]["name"] == "Nora van Nash"
        for page in (await at.client.get(link), await at.fill_in(link)):
            assert page.status_code == 404
            assert INVALID_LINK_TEXT in page.text
        path = f"/users/{entered.json()['data']['user']['id']}"
        seen = (await at.client.get(path, headers=at.authorization("olga"))).json()["data"]
        assert seen["machine_access"] == [{"machine_id": "mch_7", "access_level": "full"}]
        (mail,) = at.server.mails
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    links = [LINK.findall(body.get_content()) for body in bodies if body is not None]
    assert links == [[link], [link]]


async def test_the_page_leaves_no_session_behind(seeded_database: tuple[str, World]) -> None:
    async with accept_page_test(seeded_database) as at:
        await at.fill_in(await at.invite())
        living = f"expires_at > {time.time_ns() // 1000}"
        named = f"user_id = (SELECT id FROM users WHERE email = '{NORA}')"
        rows = await query(at.database, f"SELECT count(*) FROM tokens WHERE {named} AND {living}")
        assert rows == [(0,)]


async def test_the_page_keeps_to_itself(seeded_database: tuple[str, World]) -> None:
    async with accept_page_test(seeded_database) as at:
        link = await at.invite()
        taken = await at.invite("gina@example.com", by="gil")
        create = {"username": "gina", "email": "gina@example.com", "password": PASSWORD}
        made = await at.client.post(
            "/api/v1/users/",
            json={**create, "role": "subscriber", "tenant": at.world.tenants["main"].id},
            headers={"Authorization": f"Token {at.world.people['root'].token}"},
        )
        assert made.status_code == 201
        path = f"/users/invitations/{taken.rpartition('/')[2]}/accept"
        refused = await at.client.post(path, json={"password": PASSWORD})
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "CONFLICT"
        pages = [
            await at.client.get(link),
            await at.fill_in(link, "short"),
            await at.client.get(link + "x"),
            await at.client.post(link, content=b"{}", headers={"Content-Type": "text/x"}),
            await at.fill_in(taken),
            await at.fill_in(link),
        ]
    assert [page.status_code for page in pages] == [200, 400, 404, 415, 409, 200]
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
    async with accept_page_test(seeded_database) as at:
        link = await at.invite(name="Nora Nash")
        cases: list[tuple[dict[str, str], str]] = [
            ({"password": "kettle7"}, "Must have at least 8 characters"),
            ({"password": ""}, "Must not be empty"),
            ({"password": "x" * 1025}, "Must have at most 1024 bytes"),
            ({"name": "x" * 151}, "Must have at most 150 characters"),
            ({"name": "A\u202eB"}, "Must not contain invisible, control or mixed characters"),
        ]
        for told, said in cases:
            page = await at.fill_in(link, **told)
            assert page.status_code == 400
            assert said in page.text
            assert PASSWORD not in page.text, "no password is sent back"
        empty = await at.client.post(link, data={})
        assert empty.status_code == 400
        assert empty.text.count("This field is required") == 1
        large = await at.fill_in(link, "x" * 300_000)
        assert large.status_code == 413
        assert "could not be read" in large.text
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            sent = {"content": b"\xff\xfe=%ff", "headers": {"Content-Type": kind}}
            assert (await at.client.post(link, **sent)).status_code == 400
        json = await at.client.post(link, json={"password": PASSWORD})
        assert json.status_code == 415, "a page reads forms; there is an API for the rest"
        multipart: Any = {"password": (None, PASSWORD), "name": (None, "Zoë")}
        assert (await at.client.post(link, files=multipart)).status_code == 200


@pytest.mark.parametrize("name", ["<b>Nora</b>", '"><img src=x>', "{{ 7*7 }}", "O'Nash & Sons"])
async def test_names_are_shown_and_nothing_else(
    seeded_database: tuple[str, World], name: str
) -> None:
    async with accept_page_test(seeded_database) as at:
        link = await at.invite(name=name)
        pages = [await at.client.get(link), await at.fill_in(link, "short", name=name)]
        assert [page.status_code for page in pages] == [200, 400]
        for page in pages:
            assert f'value="{escape(name)}"' in page.text
            assert page.text.count("<img") == page.text.count("<b>") == 0
        assert (await at.fill_in(link)).status_code == 200
        entered = await at.signs_in()
        assert entered.json()["data"]["user"]["name"] == name


async def test_every_link_that_opens_nothing_reads_the_same(
    seeded_database: tuple[str, World],
) -> None:
    async with accept_page_test(seeded_database) as at:
        used = await at.invite()
        await at.fill_in(used)
        older = await at.invite("rick@example.com")
        path = "/users/invitations"
        listed = (await at.client.get(path, headers=at.authorization("olga"))).json()["data"][
            "invitations"
        ]
        rick = listed[0]["invitation_id"]
        await at.client.post(f"{path}/{rick}/resend", headers=at.authorization("olga"))
        newer = await at.link("rick@example.com")
        revoked = await at.invite("tess@example.com")
        listed = (await at.client.get(path, headers=at.authorization("olga"))).json()["data"][
            "invitations"
        ]
        await at.client.delete(
            f"{path}/{listed[0]['invitation_id']}", headers=at.authorization("olga")
        )
        dead_inviter = await at.invite("uma@example.com", by="gil")
        body = {"is_active": False}
        switch = f"/api/v1/users/{at.world.people['gil'].id}/activate/"
        by_root = {"Authorization": f"Token {at.world.people['root'].token}"}
        assert (await at.client.post(switch, json=body, headers=by_root)).is_success
        base = used.rpartition("/")[0]
        secret = newer.rpartition("/")[2]
        dead = [
            used, older, revoked, dead_inviter, newer + "x", newer[:-1],
            f"{base}/x", f"{base}/{rick}", f"{base}/{secret[:17]}", f"{base}/{secret[:17]}{'x' * 43}",
            f"{base}/%00", f"{base}/%ff", f"{base}/%F0%9F%98%80", f"{base}/%ED%A0%80",
            f"{base}/a%0d%0ab", newer + "%00", newer + "%0A", f"{base}/{'x' * 5000}",
            f"{base}/%27%20OR%201--",
        ]  # fmt: skip
        answers = [without_request_id(await at.client.get(link)) for link in dead]
        answers += [without_request_id(await at.fill_in(link)) for link in dead]
        answers += [without_request_id(await at.fill_in(link, "x")) for link in dead]
        assert {status for status, _, _ in answers} == {404}
        assert {body for _, body, _ in answers} == {answers[0][1]}
        assert {str(headers) for _, _, headers in answers} == {str(answers[0][2])}
        assert INVALID_LINK_TEXT in answers[0][1].decode()
        assert (await at.fill_in(newer)).status_code == 200


async def test_an_expired_link(
    seeded_database: tuple[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with accept_page_test(seeded_database) as at:
        link = await at.invite()
        week, real = 7 * 86_400, time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + (week - 60) * 10**9)
        assert (await at.client.get(link)).status_code == 200
        monkeypatch.setattr(time, "time_ns", lambda: real() + (week + 1) * 10**9)
        assert (await at.client.get(link)).status_code == 404
        assert (await at.fill_in(link)).status_code == 404


async def test_two_who_use_one_link_at_once(seeded_database: tuple[str, World]) -> None:
    async with accept_page_test(seeded_database) as at:
        link = await at.invite()
        secret = link.rpartition("/")[2]
        tries = [f"violet-Kettle-{n}" for n in range(50, 54)]
        by_page = [at.fill_in(link, word) for word in tries[:2]]
        by_api = [
            at.client.post(f"/users/invitations/{secret}/accept", json={"password": word})
            for word in tries[2:]
        ]
        answers = await asyncio.gather(*by_page, *by_api)
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses in ([200, 404, 404, 404], [201, 404, 404, 404])
        won = next(w for w, page in zip(tries, answers, strict=True) if page.is_success)
        assert (await at.signs_in(password=won)).status_code == 200


async def test_it_is_served_behind_the_prefix_alone(seeded_database: tuple[str, World]) -> None:
    async with accept_page_test(seeded_database) as at:
        path = (await at.invite()).removeprefix("http://127.0.0.1:8000/vsay")
        assert (await at.client.get(f"/vsay{path}/")).status_code == 200
        assert (await at.client.get(path)).status_code == 404
